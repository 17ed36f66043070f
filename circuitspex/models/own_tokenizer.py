"""The tokenizer that a model came with. TransformerLens changes its own copy: that one begins every text with BOS."""

from __future__ import annotations

import copy
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


def to_be_changed(tokenizer: Any, folder: str) -> Any:
    """What TransformerLens is given in place of a tokenizer that was saved in ``folder``, and may change.

    Where a text does not begin with BOS by itself, TransformerLens reads the tokenizer again from its folder and leaves
    this one, so that a light copy which names the folder is enough. In all other cases it is read from there.
    """
    special = () if tokenizer is None else (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token)
    begins = (
        tokenizer is None or tokenizer.init_kwargs.get("add_bos_token") or getattr(tokenizer, "add_bos_token", False)
    )
    if not begins and all(special) and not any(":" in each for each in special):  # with a colon it may fail to
        light = copy.copy(tokenizer)
        light.init_kwargs = {"name_or_path": folder, "local_files_only": True}
        return light
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
