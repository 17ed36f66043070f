"""Examples as arrays of token ids, right-padded where lengths differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from circuitspex.errors import TaskError
from circuitspex.tasks.example import Example, encode_example
from circuitspex.tasks.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class ExampleArrays:
    """``P`` examples: tokens ``(P, positions)`` right-padded to the longest, the rest ``(P,)``."""

    tokens: Int[Tensor, "prompts positions"]
    counterfactual_tokens: Int[Tensor, "prompts positions"]
    lengths: Int[Tensor, " prompts"]
    answers: Int[Tensor, " prompts"]
    wrong_answers: Int[Tensor, " prompts"]


def encode_examples(
    examples: Sequence[Example],
    vocabulary: Vocabulary,
    *,
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
    encoded = [encode_example(e, vocabulary, place) for e, place in zip(examples, places, strict=True)]
    lengths = [len(e.tokens) for e in encoded]
    if not group_by_length:
        for place, length in zip(places, lengths, strict=True):
            if length != lengths[0]:
                raise TaskError(
                    f"prompts must have the same number of tokens: {places[0]} has {lengths[0]} and {place} has "
                    f"{length}; use group_by_length=True to run them by length"
                )
    return ExampleArrays(
        tokens=_pad([e.tokens for e in encoded], vocabulary.pad_id),
        counterfactual_tokens=_pad([e.counterfactual_tokens for e in encoded], vocabulary.pad_id),
        lengths=torch.tensor(lengths),
        answers=torch.tensor([e.answer for e in encoded]),
        wrong_answers=torch.tensor([e.wrong_answer for e in encoded]),
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


def _pad(rows: Sequence[Sequence[int]], pad_id: int) -> Int[Tensor, "rows positions"]:
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows])
