"""The tokenizer that a model came with. TransformerLens changes its own copy: that one begins every text with BOS."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from circuitspex.models.protocol import Model

_own: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def remember_tokenizer(model: Model, tokenizer: Any) -> None:
    """Record the tokenizer that a model was loaded with; None where it has none."""
    _own[model] = tokenizer


def own_tokenizer(model: Model) -> Any:
    """The tokenizer as it came with the model, to be written beside its weights; None where there is none.

    Of a model that was not loaded by this package it is the one that the model has.
    """
    return _own.get(model, model.tokenizer)
