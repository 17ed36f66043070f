"""Prompts followed by answers of several tokens, as rows that are run (teacher forcing).

The log-probability of an answer is read after the prompt and each of its tokens but the last. A metric of one answer
runs one sequence a prompt, a metric of two answers two, or one where the tokens of one answer but its last are the
beginning of the other's (an answer of one token, " New York" beside " New Orleans"). Under ``resample`` the
counterfactual is followed by the same tokens. For the mean baseline each reference prompt is followed by answers of the
task, so that the mean at the positions of an answer is over different answers, as that at the positions of a prompt is
over different prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Int
from torch import Tensor

from circuitspex.errors import TaskError
from circuitspex.tasks.example import Example
from circuitspex.tasks.groups import TaskGroup
from circuitspex.tasks.metrics import END, Metric

Ids = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ToFollow:
    """The fields of a task whose answers have several tokens, with the meaning that they have there."""

    examples: tuple[Example, ...]
    metric: Metric
    tokens: Int[Tensor, "prompts positions"]
    counterfactual_tokens: Int[Tensor, "prompts positions"]
    lengths: Int[Tensor, " prompts"]
    answers: Int[Tensor, "prompts longest"]
    wrong_answers: Int[Tensor, "prompts longest"]
    answer_lengths: Int[Tensor, " prompts"]
    wrong_answer_lengths: Int[Tensor, " prompts"]
    reference_tokens: Int[Tensor, "references reference_positions"]
    reference_lengths: Int[Tensor, " references"]
    reference_answers: tuple[tuple[Ids, ...], ...]

    @classmethod
    def of(cls, task: object) -> ToFollow:
        """Those of a task."""
        return cls(**{each.name: getattr(task, each.name) for each in fields(cls)})

    def ids(self, role: str) -> list[Ids]:
        """The tokens of each prompt's answer or wrong answer, without padding."""
        rows, lengths = getattr(self, f"{role}s"), getattr(self, f"{role}_lengths")
        return [tuple(row[:n]) for row, n in zip(rows.tolist(), lengths.tolist(), strict=True)]


def sequences_of(task: ToFollow, follows: Sequence[str]) -> tuple[TaskGroup, ...]:
    """The prompts of a task whose answers have several tokens, followed by these answers, in groups that run together:
    of one prompt length and one number of sequences a prompt, shorter ones first.

    Raises:
        TaskError: a named position that the metric reads is several tokens.
    """
    read = [task.ids(role) for role in follows]
    continued = [continuations([ids[i][:-1] for ids in read]) for i in range(len(task.examples))]
    groups = []
    for length, n in sorted({(int(task.lengths[i]), len(each)) for i, each in enumerate(continued)}):
        prompts = [i for i, each in enumerate(continued) if (int(task.lengths[i]), len(each)) == (length, n)]
        groups.append(_group(task, prompts, length, [continued[i] for i in prompts], read))
    return tuple(groups)


def reference_answers_of(
    lengths: Sequence[int], answers: Sequence[Sequence[Ids]], reference_lengths: Sequence[int]
) -> tuple[tuple[Ids, ...], ...]:
    """Which tokens follow each reference prompt, in as many sequences.

    The right answers of the prompts of its length, in their order, and then the wrong ones, without their last tokens,
    are dealt out in turn; each reference prompt of one length is given equally many. (Where the reference prompts are
    the prompts and their counterfactuals, as by default, each prompt is followed by its answer, and each counterfactual
    by the wrong answer of its prompt.)
    """
    found: list[tuple[Ids, ...]] = [((),)] * len(reference_lengths)
    for length in set(lengths):
        pool = [ids[i][:-1] for ids in answers for i, n in enumerate(lengths) if n == length]
        rows = [i for i, n in enumerate(reference_lengths) if n == length]
        times = -(-len(pool) // len(rows))
        for place, row in enumerate(rows):
            found[row] = tuple(pool[(place + turn * len(rows)) % len(pool)] for turn in range(times))
    return tuple(found)


def continuations(given: Sequence[Ids]) -> list[Ids]:
    """The different tokens that must follow the prompt, so that all of these are the beginning of one of them."""
    if len(given) == 2:
        first, second = given
        if first[: len(second)] == second:
            return [first]
        if second[: len(first)] == first:
            return [second]
    return list(given) or [()]


def _group(
    task: ToFollow, prompts: list[int], length: int, continued: list[list[Ids]], read: list[list[Ids]]
) -> TaskGroup:
    rows = torch.tensor(prompts)
    n = len(continued[0])
    longest = max((len(ids[i]) for ids in read for i in prompts), default=1)
    extra = max(len(ids) for each in continued for ids in each)
    run = length + extra

    def followed(tokens: Int[Tensor, "prompts positions"]) -> Int[Tensor, "sequences positions"]:
        begun = tokens[rows, :length].tolist()
        return torch.tensor(
            [_filled([*row, *ids], run) for row, each in zip(begun, continued, strict=True) for ids in each]
        )

    reads = [
        [place for name in task.metric.positions for place in _places(task, name, i, length, len(ids), longest)]
        for i, each in zip(prompts, continued, strict=True)
        for ids in each
    ]
    reference, reference_lengths = _reference(task, length, run)
    return TaskGroup(
        indices=rows,
        tokens=followed(task.tokens),
        counterfactual_tokens=followed(task.counterfactual_tokens),
        reference_tokens=reference,
        answers=task.answers[rows, :longest],
        wrong_answers=task.wrong_answers[rows, :longest],
        reads=torch.tensor(reads),
        answer_lengths=task.answer_lengths[rows],
        wrong_answer_lengths=task.wrong_answer_lengths[rows],
        reference_lengths=reference_lengths,
        n_sequences=n,
        prompt_length=length,
    )


def _filled(ids: list[int], length: int) -> list[int]:
    """A sequence that is padded at its end with its last token, which no read position sees."""
    return [*ids, *[ids[-1]] * (length - len(ids))]


def _places(task: ToFollow, name: str, prompt: int, length: int, n_after: int, longest: int) -> Iterator[int]:
    """Where a position of the metric is read: END from the prompt's last token on, and no further than the sequence."""
    if name != END:
        span = task.examples[prompt].span(name, length)
        if len(span) > 1:
            raise TaskError(f"the position '{name}' of prompt {prompt} is {len(span)} tokens; it must be one here")
        yield span[0]
        return
    for k in range(longest if task.metric.continuations else 1):
        yield length - 1 + min(k, n_after)


def _reference(task: ToFollow, length: int, run: int) -> tuple[Tensor, Tensor]:
    """The reference prompts of this length, followed by answers and cut or padded to ``run``, and where each ends."""
    found = [
        [*task.reference_tokens[i, :length].tolist(), *ids][:run]
        for i, n in enumerate(task.reference_lengths.tolist())
        if n == length
        for ids in task.reference_answers[i]
    ]
    filled = torch.tensor([_filled(ids, run) for ids in found], dtype=torch.int64).reshape(len(found), run)
    return filled, torch.tensor([len(ids) for ids in found], dtype=torch.int64)
