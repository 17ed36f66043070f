"""The prompts of a task that have one length, which run together without padding."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class TaskGroup:
    """The prompts of one length.

    ``indices (rows,)`` are the positions of these prompts in the task; ``tokens`` and ``counterfactual_tokens`` are
    ``(rows, positions)`` without padding; ``reference_tokens`` are the reference prompts of this length (at least one,
    unrelated in number to the rows); ``answers`` and ``wrong_answers`` are token ids ``(rows,)``;
    ``reads (rows, reads)`` are the positions that the metric reads.
    """

    indices: Int[Tensor, " rows"]
    tokens: Int[Tensor, "rows positions"]
    counterfactual_tokens: Int[Tensor, "rows positions"]
    reference_tokens: Int[Tensor, "references positions"]
    answers: Int[Tensor, " rows"]
    wrong_answers: Int[Tensor, " rows"]
    reads: Int[Tensor, "rows reads"]

    @property
    def length(self) -> int:
        """How many tokens each prompt of the group has."""
        return int(self.tokens.shape[1])

    def __len__(self) -> int:
        return int(self.tokens.shape[0])
