"""What a function may be given where it asks for a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import UserError
from circuitspex.models.hugging_face import is_hugging_face
from circuitspex.models.load import load_model
from circuitspex.models.protocol import Model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    GivenModel = Model | str | Path | PreTrainedModel


def model_of(given: GivenModel) -> Model:
    """The model itself; one that is named is loaded, and a Hugging Face model is wrapped (``load_model``).

    Raises:
        UserError: none of these.
    """
    if isinstance(given, str | Path) or is_hugging_face(given):
        return load_model(given)
    if not hasattr(given, "hook_dict") or not hasattr(given, "cfg"):
        raise UserError(
            "a model is a name, a directory or a .gguf file of one, a Hugging Face model, or a TransformerBridge from "
            f"load_model; not {_what(given)}"
        )
    return given


def _what(given: Any) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
