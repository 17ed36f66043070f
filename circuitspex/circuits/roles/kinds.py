"""What a token is to the position that attends to it: the answer, the token just before, the same token again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

KINDS: Mapping[str, str] = {
    "answer": "tokens that are the right answer's",
    "wrong answer": "tokens that are the wrong answer's",
    "previous token": "the token just before the position that attends",
    "same token": "earlier tokens that are the same as the one that attends",
    "after the same token": "tokens that followed an earlier occurrence of the one that attends",
}
"""The kinds, in their order, and what each means. A token can be of several."""


def kinds_of(
    tokens: Int[Tensor, "prompts positions"],
    answers: Int[Tensor, " prompts"],
    wrong_answers: Int[Tensor, " prompts"],
) -> dict[str, Bool[Tensor, "prompts to_attend_from to_attend_to"]]:
    """By kind, which positions are of it (second axis) for each position that attends (first axis).

    No position sees later ones. ``tokens`` are prompts of one length, without padding.
    """
    n = tokens.shape[1]
    seen = torch.ones(n, n, dtype=torch.bool, device=tokens.device).tril()
    before = seen.tril(-1)
    same = (tokens[:, :, None] == tokens[:, None, :]) & before
    # Position k follows an occurrence where k - 1 is the same token; the last column has no k after it.
    after = torch.cat([torch.zeros_like(same[:, :, :1]), same[:, :, :-1]], dim=2) & before
    return {
        "answer": (tokens == answers[:, None])[:, None, :] & seen,
        "wrong answer": (tokens == wrong_answers[:, None])[:, None, :] & seen,
        "previous token": (before & ~seen.tril(-2)).expand_as(same),
        "same token": same,
        "after the same token": after,
    }


def shares_of(
    kinds: Mapping[str, Bool[Tensor, "prompts to_attend_from to_attend_to"]],
    attention: Float[Tensor, "prompts to_attend_from to_attend_to"],
    weights: Float[Tensor, "prompts to_attend_from"],
) -> dict[str, tuple[Float[Tensor, " prompts"], Float[Tensor, " prompts"]]]:
    """By kind, for each prompt: a head's attention to it, and what attention to all tokens alike would give.

    ``weights`` say how much each position that attends counts; those of a prompt sum to 1.
    """
    n = attention.shape[-1]
    even = torch.ones(n, n, dtype=attention.dtype, device=attention.device).tril()
    even = even / even.sum(1, keepdim=True)
    found = {}
    for name, mask in kinds.items():
        by_position = torch.stack([(attention * mask).sum(2), (even * mask).sum(2)])
        found[name] = ((by_position[0] * weights).sum(1), (by_position[1] * weights).sum(1))
    return found
