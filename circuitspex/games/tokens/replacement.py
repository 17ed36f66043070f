"""The token that is read instead of an ablated one."""

from __future__ import annotations

from typing import Any

import numpy as np

from circuitspex.errors import UserError
from circuitspex.models.protocol import Model
from circuitspex.models.tokens import tokenizer_of

_ROLES = ("mask", "pad", "unk")


def replacement_id(model: Model, token: str | int) -> int:
    """The id of a replacement token.

    Args:
        model: a TransformerBridge with a tokenizer.
        token: 'mask', 'pad' or 'unk' for the tokenizer's own; 'auto' for the first of these that it has; else an id,
            or a text that is one token, such as ' the' or '_'.

    Raises:
        UserError: the tokenizer lacks it.
    """
    tokenizer = tokenizer_of(model)
    given: Any = token
    token = int(given) if isinstance(given, np.integer) else token
    if isinstance(token, bool) or not isinstance(token, str | int):
        raise UserError(f"a replacement token is a text or an id, not {type(token).__name__}")
    own: dict[str, int] = {}
    for role in _ROLES:
        number = getattr(tokenizer, f"{role}_token_id", None)
        if number is not None:
            own[role] = int(number)
    if isinstance(token, int):
        if not 0 <= token < int(model.cfg.d_vocab):
            raise UserError(f"there is no token {token}; the vocabulary has the ids 0 to {int(model.cfg.d_vocab) - 1}")
        return token
    if token == "auto":
        if not own:
            raise UserError(
                "this tokenizer has no mask, pad or unk token; name a token, such as token='_', or use ablate='mean'"
            )
        return next(iter(own.values()))
    if token in _ROLES:
        if token not in own:
            has = f"it has {' and '.join(own)}" if own else "it has none of mask, pad and unk"
            raise UserError(f"this tokenizer has no {token} token ({has}); name another, or use ablate='mean'")
        return own[token]
    ids = [int(i) for i in tokenizer(token, add_special_tokens=False)["input_ids"]]
    if len(ids) != 1:
        raise UserError(f"the replacement {token!r} is {len(ids)} tokens; it must be exactly one")
    if ids[0] == tokenizer.unk_token_id and token.strip() != tokenizer.unk_token:
        raise UserError(f"the replacement {token!r} is not in this tokenizer's vocabulary")
    return ids[0]


def alone_id(model: Model) -> int | None:
    """The token that begins a text: what is read where a mask has deleted everything."""
    tokenizer = tokenizer_of(model)
    for role in ("bos", "eos"):
        number = getattr(tokenizer, f"{role}_token_id", None)
        if number is not None:
            return int(number)
    return None
