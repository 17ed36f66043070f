"""Whether two models can be compared component by component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circuitspex.components import model_structure
from circuitspex.errors import UserError
from circuitspex.models import model_name
from circuitspex.models.protocol import Model
from circuitspex.tasks import Task


def check_comparable(before: Model, after: Model, task: Task) -> None:
    """Raise a UserError that says why two models can't be compared, if they can't."""
    shapes = (shape_of(model, task) for model in (before, after))
    why = why_not_comparable(model_name(before), next(shapes), model_name(after), next(shapes))
    if why is not None:
        raise UserError(why)


def why_not_comparable(one: str, before: Mapping[str, Any], two: str, after: Mapping[str, Any]) -> str | None:
    """Why two models, each by its name and its ``shape_of``, can't be compared; None where they can."""
    for what, value in before.items():
        other = after[what]
        if what == _TOKENS and value and other:
            text = next((text for text in value if value[text] != other[text]), None)
            if text is not None:
                return f"the two models split prompts into different tokens, {text!r} for example"
        elif what != _TOKENS and value != other:
            return (
                f"{one} and {two} can't be compared component by component: {what} {value} in the first, {other} in "
                "the second"
            )
    return None


_TOKENS = "tokens"


def shape_of(model: Model, task: Task) -> dict[str, Any]:
    """What two models must have in common, with the tokens of some of the task's prompts."""
    structure = model_structure(model)
    layers = structure.layers
    tokenizer: Any = getattr(model, "tokenizer", None)
    texts = [text for text in task.prompts[:8] if text]
    return {
        "layers": structure.n_layers,
        "heads a layer": sorted({layer.n_heads for layer in layers}),
        "neurons a layer": sorted({layer.n_neurons for layer in layers}),
        "the width is": model.cfg.d_model,
        "the vocabulary is": model.cfg.d_vocab,
        "the architecture is": str(getattr(model.cfg, "architecture", None)),
        _TOKENS: {text: tokenizer(text)["input_ids"] for text in texts} if tokenizer else {},
    }
