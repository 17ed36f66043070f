"""The prompts of a task that have one length, which run together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuitspex.tasks.metrics import Metric, MetricRows

Logits = Float[Tensor, "rows reads vocab"]


@dataclass(frozen=True, eq=False)
class TaskGroup:
    """The prompts of one length.

    ``indices (rows,)`` are the positions of these prompts in the task; ``tokens`` and ``counterfactual_tokens`` are
    ``(rows, positions)`` without padding; ``reference_tokens`` are the reference prompts of this length (at least one,
    unrelated in number to the rows); ``answers`` and ``wrong_answers`` are token ids ``(rows,)``;
    ``reads (rows, reads)`` are the positions that the metric reads.

    Answers of several tokens, of :attr:`Task.sequences`: each prompt stands ``n_sequences`` times in ``tokens``,
    ``counterfactual_tokens`` and ``reads``, one after the other, followed by the tokens of an answer but for its last;
    shorter ones are padded at their end, which no read position sees. ``n_prompt_tokens`` is the length of the prompts
    alone. The answers are ``(rows, longest)``, padded, with their lengths. Reference prompts are followed by answers
    too; ``reference_lengths`` is where each ends.

    ``all_references`` are the reference prompts of every length, ``(prompts, length)`` each, without answers.
    """

    indices: Int[Tensor, " rows"]
    tokens: Int[Tensor, "sequences positions"]
    counterfactual_tokens: Int[Tensor, "sequences positions"]
    reference_tokens: Int[Tensor, "references positions"]
    answers: Int[Tensor, "rows ..."]
    wrong_answers: Int[Tensor, "rows ..."]
    reads: Int[Tensor, "sequences reads"]
    answer_lengths: Int[Tensor, " rows"] | None = None
    wrong_answer_lengths: Int[Tensor, " rows"] | None = None
    reference_lengths: Int[Tensor, " references"] | None = None
    n_sequences: int = 1
    prompt_length: int | None = None
    all_references: tuple[Int[Tensor, "references length"], ...] = ()

    @property
    def length(self) -> int:
        """How many tokens each row of ``tokens`` has."""
        return int(self.tokens.shape[1])

    @property
    def n_prompt_tokens(self) -> int:
        """How many tokens each prompt has, without an answer."""
        return self.length if self.prompt_length is None else self.prompt_length

    def __len__(self) -> int:
        """How many prompts there are."""
        return int(self.indices.shape[0])

    def sequences(self, prompts: slice) -> slice:
        """The rows of ``tokens`` that belong to these prompts."""
        start, stop, _ = prompts.indices(len(self))
        return slice(start * self.n_sequences, stop * self.n_sequences)

    def with_answers_on(self, device: torch.device) -> TaskGroup:
        """The same with what :meth:`measure` reads on this device."""
        lengths = [None if one is None else one.to(device) for one in (self.answer_lengths, self.wrong_answer_lengths)]
        return replace(
            self,
            answers=self.answers.to(device),
            wrong_answers=self.wrong_answers.to(device),
            answer_lengths=lengths[0],
            wrong_answer_lengths=lengths[1],
        )

    def measure(
        self, metric: Metric, logits: Logits, prompts: slice | Tensor, n_masks: int = 1, clean: Logits | None = None
    ) -> Float[Tensor, " rows"]:
        """The metric of each of these prompts under each mask ``(masks * prompts,)``, all prompts of mask 0 first.

        ``prompts`` is a part of them, or their numbers in any order. ``logits`` are those of their sequences under each
        mask, at what ``reads`` says; ``clean`` the same with nothing ablated, once, for a metric that needs them.
        """

        def repeated(given: Tensor | None) -> Tensor | None:
            return None if given is None else given.repeat(n_masks, *[1] * (given.ndim - 1))

        def known(given: Tensor | None) -> Tensor | None:
            return None if given is None else repeated(given[prompts])

        first, last = self._by_answer(logits)
        answers, wrong = known(self.answers), known(self.wrong_answers)
        assert answers is not None
        assert wrong is not None
        rows = MetricRows(
            answers=answers if answers.ndim == 2 else answers[:, None],
            wrong_answers=wrong if wrong.ndim == 2 else wrong[:, None],
            clean_logits=None if clean is None else repeated(self._by_answer(clean)[0]),
            wrong_logits=last if "wrong_answer" in metric.continuations else None,
            answer_lengths=known(self.answer_lengths),
            wrong_answer_lengths=known(self.wrong_answer_lengths),
        )
        return metric(first, rows)

    def _by_answer(self, logits: Logits) -> tuple[Logits, Logits]:
        """The logits after the answer's tokens and after the wrong answer's, one row a prompt."""
        if self.n_sequences == 1:
            return logits, logits
        each = logits.reshape(-1, self.n_sequences, *logits.shape[1:])
        return each[:, 0], each[:, -1]
