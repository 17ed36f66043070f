"""Text to tokens, one convention for the whole package."""

from __future__ import annotations

from typing import Any

from circuitspex.errors import TaskError
from circuitspex.models.protocol import HasTokenizer


def tokenizer_of(model: HasTokenizer) -> Any:
    """The model's tokenizer; a clear error where it has none."""
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise TaskError("this model has no tokenizer; load it with one, or give the task as tokens")
    return tokenizer


def encode(model: HasTokenizer, text: str, *, prepend_bos: bool | None = None) -> list[int]:
    """Token ids of ``text``.

    ``prepend_bos`` None means the model's convention, ``model.cfg.default_prepend_bos``; for a model from
    ``load_model`` that is what its own tokenizer does.
    """
    tokenizer = tokenizer_of(model)
    ids = [int(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
    if prepend_bos is None:
        prepend_bos = bool(getattr(getattr(model, "cfg", None), "default_prepend_bos", False))
    if prepend_bos and tokenizer.bos_token_id is not None:
        ids = [int(tokenizer.bos_token_id), *ids]
    return ids


def decode_token(model: HasTokenizer, token: int) -> str:
    """The text of one token id."""
    return str(tokenizer_of(model).decode([token]))


_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_seq_len", "max_sequence_length")


def context_of(model: Any) -> int | None:
    """How many tokens the model's context holds, where its Hugging Face configuration says it.

    TransformerLens's ``cfg.n_ctx`` is no answer: where the configuration has no context, it is 2,048 or the number of
    tokens that ``generate`` stops at.
    """
    config = getattr(getattr(model, "original_model", None), "config", None)
    if hasattr(config, "get_text_config"):
        config = config.get_text_config()
    for name in _CONTEXT:
        found = getattr(config, name, None)
        if isinstance(found, int) and found > 0:
            return found
    return None
