"""What heads look at: their attention on a task's prompts, from the positions where their output matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from circuitspex.circuits.about import At, Attended, Looks, Share
from circuitspex.circuits.roles.kinds import KINDS, kinds_of, shares_of
from circuitspex.circuits.roles.pattern_hooks import Seen
from circuitspex.circuits.roles.places import places_of
from circuitspex.circuits.roles.read_once import read_once
from circuitspex.circuits.roles.subject import Subject
from circuitspex.circuits.roles.writes import first_answers
from circuitspex.components import Component
from circuitspex.models.tokens import decode_token
from circuitspex.statistics import Estimate, over_prompts
from circuitspex.tasks import Task
from circuitspex.tasks.metrics import END
from circuitspex.typing import FloatArray as Attention

_Kinds = Mapping[str, Tensor]
"""By kind, which positions are of it for each position that attends: ``[prompts, query, key]``."""
_OfKinds = dict[str, tuple[float, float]]

STRONGEST = 10
"""How many texts of tokens are listed."""

LISTED = 4096
"""How many tokens ``per_prompt`` has at most for one head: the first prompts that fit, and at least one."""

_ROUNDED = 6  # decimals of ``per_prompt``
_LEFT_OVER = 0.01
"""Attention to no token is said from this share on; in half precision rounding alone makes half of that."""


def looks(subject: Subject, where: Mapping[str, Sequence[At]]) -> dict[str, Looks | str]:
    """What each head attends to; for other components, and where the model does not show it, the reason in one line.

    The attention of a head is averaged over the positions of ``where``, weighted by how much its output does there: the
    size of the effect, else of the slope. Only positions whose interval excludes 0 count, if there are any; a position
    of several tokens has its weight spread evenly over them. Where nothing is known of a head it is ``END`` alone. A
    head at one position (``L5H1@-1``) is looked at there.

    Args:
        subject: the components, the model and the task, all of whose prompts are run.
        where: by the component's name, what it does at which position.

    Returns:
        by the component's name. Intervals are over prompts, infinite where there is only one.
    """
    found: dict[str, Looks | str] = {}
    wanted: dict[int, list[Component]] = {}
    for component in subject.components:
        if component.kind == "head":
            wanted.setdefault(component.layer, []).append(component)
        else:
            found[str(component)] = f"only heads have a pattern of attention, and this is {_a(component)}"
    reads = {str(head): _reads(head, where.get(str(head), ()), subject.task) for own in wanted.values() for head in own}
    attention: dict[str, dict[int, Attention]] = {name: {} for name in reads}
    by_kind: dict[str, dict[int, _OfKinds]] = {name: {} for name in reads}
    refused: dict[int, str] = {}
    right, wrong = first_answers(subject.task)
    for group in subject.task.groups:
        still = {layer: own for layer, own in wanted.items() if layer not in refused}

        is_of = kinds_of(group.tokens, right[group.indices], wrong[group.indices])

        def keep(rows: slice, layer: int, seen: Seen, indices: Tensor = group.indices, kinds: _Kinds = is_of) -> None:
            for at, head in enumerate(wanted[layer]):
                for row, prompt in enumerate(indices[rows].tolist()):
                    weights = reads[str(head)].of_prompt(prompt)
                    if weights:
                        attention[str(head)][prompt] = _averaged(seen.pattern[row, at], weights)
                        by_kind[str(head)][prompt] = _by_kind(
                            seen.pattern[row, at], weights, kinds, int(rows.start) + row
                        )

        if still:
            heads = {layer: [head.start for head in own] for layer, own in still.items()}
            refused |= read_once(subject, group.tokens, heads, keep)
    texts = _texts(subject)
    for layer, own in wanted.items():
        for head in own:
            name = str(head)
            if layer in refused:
                found[name] = f"layer {layer} {refused[layer]}"
            elif not attention[name]:
                found[name] = f"no prompt of the task has the position {head.position}"
            else:
                found[name] = _looks(subject.task, reads[name], attention[name], by_kind[name], texts)
    return {str(component): found[str(component)] for component in subject.components}


def _a(component: Component) -> str:
    word = component.about.singular
    return f"{'an' if word[0] in 'aeiouM' else 'a'} {word}"


@dataclass(frozen=True)
class _Reads:
    """From which positions a head is looked at: their weights, and where each of them is in each prompt (if there)."""

    shares: tuple[Share, ...]
    tokens: tuple[Sequence[Sequence[int]], ...]
    ends: Sequence[int | None]
    """Where a prompt that has none of them is looked at instead."""

    def of_prompt(self, prompt: int) -> dict[int, float]:
        """The weight of each position of a prompt; they sum to 1, or there are none."""
        weights: dict[int, float] = {}
        for share, of_prompts in zip(self.shares, self.tokens, strict=True):
            for token in of_prompts[prompt]:
                weights[token] = weights.get(token, 0.0) + share.value.value / len(of_prompts[prompt])
        total, end = sum(weights.values()), self.ends[prompt]
        if total > 0:
            return {token: weight / total for token, weight in weights.items()}
        return {} if end is None else {end: 1.0}


def _reads(head: Component, where: Sequence[At], task: Task) -> _Reads:
    lengths = task.lengths.tolist()
    if head.position is not None:
        at = [[head.position % n] if -n <= head.position < n else [] for n in lengths]
        return _Reads((_share(f"token {head.position}", Estimate(1.0, 1.0, 1.0), 1.0),), (at,), [None] * len(lengths))
    ends = [n - 1 for n in lengths]
    known = [(each, each.slope if each.effect is None else each.effect) for each in where]
    known = [(each, number) for each, number in known if np.isfinite(number.value) and number.value != 0]
    known = [(each, number) for each, number in known if number.excludes_zero] or known
    if not known:
        return _Reads((_share(END, Estimate(1.0, 1.0, 1.0), 1.0),), ([[end] for end in ends],), ends)
    total = sum(abs(number.value) for _, number in known)
    shares = tuple(_share(each.name, number, total) for each, number in known)
    return _Reads(shares, tuple(_places(each, task) for each, _ in known), ends)


def _share(name: str, number: Estimate, total: float) -> Share:
    """A position's weight: its number's size over the sum of all of them, its interval likewise, within 0 and 1."""
    ends = sorted((abs(number.low), abs(number.high)))
    low = 0.0 if number.low <= 0 <= number.high else ends[0] / total
    return Share(name, Estimate(abs(number.value) / total, min(1.0, low), min(1.0, ends[1] / total)))


def _places(at: At, task: Task) -> Sequence[Sequence[int]]:
    """Where a position is in each prompt; nowhere in prompts that are too short for it."""
    for place in places_of(task):
        if (place.name, place.index) == (at.name, at.index):
            return place.tokens
    if at.name in task.position_names:
        return task.spans(at.name)
    if at.index is None:
        return [[] for _ in range(task.n_prompts)]
    return [[at.index % n] if -n <= at.index < n else [] for n in task.lengths.tolist()]


def _averaged(pattern: Tensor, weights: Mapping[int, float]) -> Attention:
    """The attention ``[key]`` from weighted positions of a pattern ``[query, key]``."""
    shares = torch.tensor(list(weights.values()), dtype=torch.float64, device=pattern.device)
    averaged = shares @ pattern[list(weights)].double()
    return np.asarray(averaged.cpu().numpy(), dtype=np.float64)


def _texts(subject: Subject) -> list[list[str]]:
    """The text of each token of each prompt."""
    known: dict[int, str] = {}
    task = subject.task
    rows = [tokens[:n] for tokens, n in zip(task.tokens.tolist(), task.lengths.tolist(), strict=True)]
    for token in {token for row in rows for token in row}:
        known[token] = decode_token(subject.model, token)
    return [[known[token] for token in row] for row in rows]


def _by_kind(pattern: Tensor, weights: Mapping[int, float], kinds: _Kinds, row: int) -> _OfKinds:
    """By kind of token that the prompt has: the attention to it, and what attention to all alike would give."""
    at = torch.zeros(1, len(pattern), dtype=torch.float64)
    at[0, list(weights)] = torch.tensor(list(weights.values()), dtype=torch.float64)
    own = {name: mask[row : row + 1] for name, mask in kinds.items()}
    shares = shares_of(own, pattern.double().cpu()[None], at)
    there = {name: bool((mask & (at > 0)[:, :, None]).any()) for name, mask in own.items()}
    return {name: (float(share[0]), float(even[0])) for name, (share, even) in shares.items() if there[name]}


def _attended(by_kind: Mapping[int, _OfKinds]) -> tuple[Attended, ...]:
    """The attention by kind over all prompts; a kind that a prompt does not have counts as none there."""
    found = []
    for name in KINDS:
        if any(name in of_prompt for of_prompt in by_kind.values()):
            rows = np.array([of_prompt.get(name, (0.0, 0.0)) for of_prompt in by_kind.values()])
            found.append(Attended(name, over_prompts(rows[:, 0]), float(rows[:, 1].mean())))
    return tuple(found)


def _looks(
    task: Task,
    reads: _Reads,
    attention: Mapping[int, Attention],
    by_kind: Mapping[int, _OfKinds],
    texts: Sequence[Sequence[str]],
) -> Looks:
    prompts = sorted(attention)
    positions = []
    for name in task.position_names:
        spans = task.spans(name)
        positions.append(_over(name, [float(attention[i][list(set(spans[i]))].sum()) for i in prompts]))
    of_texts: dict[str, list[float]] = {}
    for at, prompt in enumerate(prompts):
        for text, share in zip(texts[prompt], attention[prompt].tolist(), strict=True):
            of_texts.setdefault(text, [0.0] * len(prompts))[at] += share
    strongest = sorted(of_texts, key=lambda text: -sum(of_texts[text]))[:STRONGEST]
    left = np.array([1.0 - attention[i].sum() for i in prompts])
    listed: list[tuple[float, ...]] = []
    room = LISTED
    for i in range(task.n_prompts):
        own = attention.get(i)
        room -= 0 if own is None else len(own)
        if listed and room < 0:
            break
        listed.append(() if own is None else tuple(round(share, _ROUNDED) for share in own.tolist()))
    return Looks(
        where=reads.shares,
        positions=tuple(sorted(positions, key=lambda each: -each.value.value)),
        tokens=tuple(_over(text, of_texts[text]) for text in strongest),
        first=over_prompts(np.array([attention[i][0] for i in prompts])),
        per_prompt=tuple(listed),
        kinds=_attended(by_kind),
        nowhere=over_prompts(left) if left.mean() >= _LEFT_OVER else None,
    )


def _over(name: str, shares: Sequence[float]) -> Share:
    return Share(name, over_prompts(np.array(shares)))
