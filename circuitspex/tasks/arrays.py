"""Examples as arrays of token ids, right-padded where lengths differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from circuitspex.errors import TaskError
from circuitspex.tasks.example import Example, encode_example
from circuitspex.tasks.metrics import Metric
from circuitspex.tasks.sequences import reference_answers_of
from circuitspex.tasks.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class ExampleArrays:
    """``P`` examples: tokens ``(P, positions)`` right-padded to the longest, the rest ``(P,)``.

    Where any answer has several tokens, answers are ``(P, longest)``, right-padded, and the lengths of the answers are
    given; else these are None.
    """

    tokens: Int[Tensor, "prompts positions"]
    counterfactual_tokens: Int[Tensor, "prompts positions"]
    lengths: Int[Tensor, " prompts"]
    answers: Int[Tensor, "prompts ..."]
    wrong_answers: Int[Tensor, "prompts ..."]
    answer_lengths: Int[Tensor, " prompts"] | None
    wrong_answer_lengths: Int[Tensor, " prompts"] | None

    def follow(self, reference_lengths: Sequence[int]) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Which tokens follow each reference prompt of these lengths; none where all answers have one token."""
        if self.answer_lengths is None or self.wrong_answer_lengths is None:
            return ()
        each = ((self.answers, self.answer_lengths), (self.wrong_answers, self.wrong_answer_lengths))
        answers = [[tuple(row[:n]) for row, n in zip(ids.tolist(), of.tolist(), strict=True)] for ids, of in each]
        return reference_answers_of(self.lengths.tolist(), answers, reference_lengths)


def encode_examples(
    examples: Sequence[Example],
    vocabulary: Vocabulary,
    *,
    metric: Metric,
    group_by_length: bool,
    places: Sequence[str] | None = None,
) -> ExampleArrays:
    """The arrays of ``examples``; ``places`` name each in errors (``prompt 0``, ... without them)."""
    if not examples:
        raise TaskError("a task needs at least one prompt; there are none")
    if places is None:
        places = [f"prompt {i}" for i in range(len(examples))]
    for place, example in zip(places, examples, strict=True):
        if not isinstance(example, Example):
            raise TaskError(f"{place}: must be an Example, not {type(example).__name__}")
    encoded = [encode_example(e, vocabulary, place, metric) for e, place in zip(examples, places, strict=True)]
    lengths = [len(e.tokens) for e in encoded]
    if not group_by_length:
        for place, length in zip(places, lengths, strict=True):
            if length != lengths[0]:
                raise TaskError(
                    f"prompts must have the same number of tokens: {places[0]} has {lengths[0]} and {place} has "
                    f"{length}; use group_by_length=True to run them by length"
                )
    right, wrong = [e.answer for e in encoded], [e.wrong_answer for e in encoded]
    longest = max(map(len, [*right, *wrong]))
    several = longest > 1
    return ExampleArrays(
        tokens=_pad([e.tokens for e in encoded], vocabulary.pad_id),
        counterfactual_tokens=_pad([e.counterfactual_tokens for e in encoded], vocabulary.pad_id),
        lengths=torch.tensor(lengths),
        answers=_pad(right, 0, longest) if several else torch.tensor(right)[:, 0],
        wrong_answers=_pad(wrong, 0, longest) if several else torch.tensor(wrong)[:, 0],
        answer_lengths=torch.tensor([len(ids) for ids in right]) if several else None,
        wrong_answer_lengths=torch.tensor([len(ids) for ids in wrong]) if several else None,
    )


def encode_reference(
    reference: Sequence[str], vocabulary: Vocabulary, lengths: Int[Tensor, " prompts"]
) -> tuple[Int[Tensor, "references positions"], Int[Tensor, " references"]]:
    """The padded tokens and the lengths of the reference prompts; every length of a prompt must be among them."""
    if isinstance(reference, str):
        raise TaskError("reference is a sequence of prompts, not one string")
    rows = [tuple(vocabulary.prompt_ids(text)) for text in reference]
    own = [len(row) for row in rows]
    for length in lengths.tolist():
        if length not in own:
            raise TaskError(
                f"no reference prompt has {length} tokens, as a prompt of the task has; "
                "the mean baseline is taken by position and needs at least one of each length"
            )
    return _pad(rows, vocabulary.pad_id), torch.tensor(own)


def _pad(rows: Sequence[Sequence[int]], pad_id: int, longest: int | None = None) -> Int[Tensor, "rows positions"]:
    longest = max(len(row) for row in rows) if longest is None else longest
    return torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows])
