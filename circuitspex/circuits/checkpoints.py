"""Whether two models can be compared component by component."""

from __future__ import annotations

from typing import Any

from circuitspex.components import ModelStructure, model_structure
from circuitspex.errors import UserError
from circuitspex.models import model_name
from circuitspex.models.protocol import Model
from circuitspex.tasks import Task


def check_comparable(before: Model, after: Model, task: Task) -> None:
    """Raise a UserError that says why two models can't be compared, if they can't."""
    one, two = model_structure(before), model_structure(after)
    for what, value in _shape(before, one).items():
        other = _shape(after, two)[what]
        if value != other:
            raise UserError(
                f"{model_name(before)} and {model_name(after)} can't be compared component by component: "
                f"{what} {value} in the first, {other} in the second"
            )
    texts = [text for text in task.prompts[:8] if text]
    tokenizers: list[Any] = [getattr(model, "tokenizer", None) for model in (before, after)]
    if texts and all(tokenizers):
        for text in texts:
            ids = [tokenizer(text)["input_ids"] for tokenizer in tokenizers]
            if ids[0] != ids[1]:
                raise UserError(f"the two models split prompts into different tokens, {text!r} for example")


def _shape(model: Model, structure: ModelStructure) -> dict[str, Any]:
    layers = structure.layers
    return {
        "layers": structure.n_layers,
        "heads a layer": sorted({layer.n_heads for layer in layers}),
        "neurons a layer": sorted({layer.n_neurons for layer in layers}),
        "the width is": model.cfg.d_model,
        "the vocabulary is": model.cfg.d_vocab,
        "the architecture is": str(getattr(model.cfg, "architecture", None)),
    }
