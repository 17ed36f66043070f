"""Text to tokens, one convention for the whole package."""

from __future__ import annotations

import warnings
from typing import Any

from circuitspex.errors import TaskError
from circuitspex.models.protocol import HasTokenizer


def tokenizer_of(model: HasTokenizer) -> Any:
    """The model's tokenizer; a clear error where it has none."""
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise TaskError(
            "this model has no tokenizer: give it to load_model (a Hugging Face model: "
            "load_model(model, tokenizer=…)), put it into the model's folder, or give the task as tokens"
        )
    return tokenizer


def bos_of(tokenizer: Any) -> int | None:
    """The id of a tokenizer's own BOS token; None where it has none.

    TransformerLens gives a tokenizer without one its EOS token as BOS, which is no BOS: the model was never shown it at
    the beginning of a text. A tokenizer whose two are the same token by itself was made with both.
    """
    bos = getattr(tokenizer, "bos_token_id", None)
    if bos is None:
        return None
    made_with = getattr(tokenizer, "init_kwargs", None)
    own = made_with is None or made_with.get("bos_token") is not None
    return int(bos) if own or bos != getattr(tokenizer, "eos_token_id", None) else None


def prepends_bos(tokenizer: Any) -> bool:
    """Whether a tokenizer by itself begins a text with its BOS token."""
    ids, bos = tokenizer("a")["input_ids"], bos_of(tokenizer)
    return len(ids) > 1 and bos is not None and ids[0] == bos


def begins_with_bos(model: HasTokenizer, prepend_bos: bool | None = None) -> bool:
    """Whether prompts begin with the BOS token; None means the model's convention, ``cfg.default_prepend_bos``.

    Raises:
        TaskError: it is asked for, and the tokenizer has none.

    Warns:
        UserWarning: where it is the model's convention and the tokenizer has none; none is then put there.
    """
    wanted = prepend_bos
    if wanted is None:
        wanted = bool(getattr(getattr(model, "cfg", None), "default_prepend_bos", False))
    if not wanted or bos_of(tokenizer_of(model)) is not None:
        return wanted
    lack = "this tokenizer has no BOS token"
    if getattr(tokenizer_of(model), "bos_token_id", None) is not None:
        lack += " of its own (TransformerLens puts EOS in its place)"
    if prepend_bos:
        raise TaskError(f"{lack}, so that prepend_bos=True can't put it before prompts; leave it out")
    warnings.warn(f"{lack}: none is put before prompts, though cfg.default_prepend_bos asks for it", stacklevel=3)
    return False


def encode(model: HasTokenizer, text: str, *, prepend_bos: bool | None = None) -> list[int]:
    """Token ids of ``text``.

    ``prepend_bos`` None means the model's convention, ``model.cfg.default_prepend_bos``; for a model from
    ``load_model`` that is what its own tokenizer does.

    Raises:
        TaskError: no tokenizer, or a BOS token is asked for that it does not have.
    """
    tokenizer = tokenizer_of(model)
    ids = [int(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]
    bos = bos_of(tokenizer) if begins_with_bos(model, prepend_bos) else None
    return ids if bos is None else [bos, *ids]


def decode_token(model: HasTokenizer, token: int) -> str:
    """The text of one token id."""
    return str(tokenizer_of(model).decode([token]))


_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_seq_len", "max_sequence_length")


def context_of(model: Any) -> int | None:
    """How many tokens the model's context holds, where the configuration that it was built from says it.

    TransformerLens's ``cfg.n_ctx`` is no answer: where the configuration has no context, it is 2,048 or the number of
    tokens that ``generate`` stops at. A model that TransformerLens built itself has no other configuration than that,
    and was built for as many tokens as it says.
    """
    original = getattr(model, "original_model", None)
    config: Any = getattr(original, "config", None) or getattr(original, "cfg", None)
    if hasattr(config, "get_text_config"):
        config = config.get_text_config()
    for name in _CONTEXT:
        found = getattr(config, name, None)
        if isinstance(found, int) and found > 0:
            return found
    return None
