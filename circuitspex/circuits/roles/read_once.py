"""Heads on texts that several measurements ask about, run once for each subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from jaxtyping import Int
from torch import Tensor

from circuitspex.circuits.roles.pattern_hooks import Seen, read_heads
from circuitspex.circuits.roles.subject import Subject

MOST_TOKENS = 2048
"""Of what is kept: the attention of a layer's heads is their number times this times the length of a text."""


def read_once(
    subject: Subject,
    tokens: Int[Tensor, "rows positions"],
    heads: Mapping[int, Sequence[int]],
    keep: Callable[[slice, int, Seen], None],
) -> dict[int, str]:
    """As ``read_heads``; of few tokens, what it gave is kept with the subject."""
    if tokens.numel() > MOST_TOKENS:
        return read_heads(subject.model, subject.structure, tokens, heads, keep)
    asked = tuple((layer, tuple(own)) for layer, own in heads.items())
    dtype = next(iter(subject.model.parameters())).dtype  # half precision is read in float32 at times
    key = dtype, tuple(tokens.shape), tokens.cpu().numpy().tobytes(), asked
    if key not in subject.read:
        seen: list[tuple[slice, int, Seen]] = []
        refused = read_heads(subject.model, subject.structure, tokens, heads, lambda *given: seen.append(given))
        subject.read[key] = seen, refused
    seen, refused = subject.read[key]
    for given in seen:
        keep(*given)
    return dict(refused)
