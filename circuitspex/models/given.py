"""What a function may be given where it asks for a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from circuitspex.errors import UserError
from circuitspex.models.hugging_face import is_hugging_face, tokenizer_for, unwrapped
from circuitspex.models.memory import check_fits, model_memory
from circuitspex.models.protocol import HasTokenizer, Model
from circuitspex.models.sources import check_model
from circuitspex.models.tokens import prepends_bos

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

GivenModel: TypeAlias = "Model | str | Path | PreTrainedModel"
"""A model, a Hugging Face model, or the name, directory or file of one."""


def model_of(given: GivenModel) -> Model:
    """The model itself; one that is named is loaded, and a Hugging Face model is wrapped (``load_model``).

    Raises:
        UserError: none of these.
    """
    given = bridged(given)
    if not hasattr(given, "hook_dict") or not hasattr(given, "cfg"):
        raise UserError(
            "a model is a name, a directory or a .gguf file of one, a Hugging Face model, or a TransformerBridge from "
            f"load_model; not {_what(given)}"
        )
    return given


def models_of(given: Sequence[GivenModel], how: Loading) -> list[Model]:
    """As ``model_of``, of several models; those that are named are loaded in this way, if all of them fit.

    Raises:
        UserError: none of these; the models don't fit into memory beside each other; or it is said how to load them,
            and they are loaded.
    """
    named = [each for each in given if isinstance(each, str | Path)]
    if not named and (said := [name for name, value in how.items() if value is not None]):
        what = f"{' and '.join(said)} {'is' if len(said) == 1 else 'are'}"
        raise UserError(f"{what} for models that are given by name; this one is loaded")
    for each in named:
        check_model(each, **how)
    if len(named) > 1:
        check_fits(model_memory(each, **how) for each in named)
    from circuitspex.models.load import load_model  # here, as in ``_loaded``

    return [load_model(each, **how) if isinstance(each, str | Path) else model_of(each) for each in given]


def bridged(given: GivenModel) -> Model:
    """As ``model_of``, but whatever is neither a name nor a Hugging Face model is given back as it is."""
    return _loaded(given) if isinstance(given, str | Path) or is_hugging_face(given) else given


def for_text(given: GivenModel) -> HasTokenizer:
    """As much of a model as text needs: of a Hugging Face model its tokenizer alone, so that it need not be wrapped.

    Raises:
        UserError: a name of no model.
    """
    if is_hugging_face(given):
        return _Text(unwrapped(given), tokenizer_for(given))
    return _loaded(given) if isinstance(given, str | Path) else given


def _loaded(given: str | Path | PreTrainedModel) -> Model:
    from circuitspex.models.load import load_model  # here: the command line lists tasks without it

    return load_model(given)


class Loading(TypedDict):
    """How a model that is named is loaded: arguments of ``load_model``, each None where that is left to it."""

    device: str | torch.device | None
    dtype: str | torch.dtype | None
    device_map: str | dict[str, Any] | None
    quantization: str | None


class _Config:
    """What is known of a model of which only the tokenizer is."""

    def __init__(self, tokenizer: Any) -> None:
        self.default_prepend_bos = tokenizer is not None and prepends_bos(tokenizer)


class _Text:
    """A tokenizer, with the model's convention for BOS tokens and the length of its context."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.original_model = model
        self.tokenizer = tokenizer
        self.cfg = _Config(tokenizer)


def _what(given: Any) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
