"""How much of a known circuit a decoder recovers: precision and recall of nodes, and of interactions with signs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

import circuitspex as cx
from circuitspex.circuits import nap
from circuitspex.circuits.evidence._replicate import RATE, replicate
from circuitspex.statistics import q_values

SHARE, ERRORS = 0.05, 2.0
"""A decoder reports what exceeds this share of its largest effect, and so many of its own standard errors."""


@dataclass(frozen=True)
class Score:
    """Precision and recall; 1 where nothing was reported, or nothing was there to find."""

    precision: float
    recall: float

    @classmethod
    def of(cls, found: set[Any], true: set[Any]) -> Score:
        both = len(found & true)
        return cls(both / len(found) if found else 1.0, both / len(true) if true else 1.0)


@dataclass(frozen=True)
class Truth:
    """The nodes, and the interactions with their signs."""

    nodes: set[str]
    interactions: Mapping[tuple[str, ...], int]


def exact(game: Any, share: float = SHARE, most: int = 3) -> Truth:
    """What running every mask says: the sets up to an order whose effect exceeds a share of the largest."""
    n = game.n_players
    masks = all_masks(n)
    values = game(masks)
    x = np.where(masks, 1.0, -1.0)
    effects = {
        members: 2.0 ** len(members) * float((x[:, list(members)].prod(1) * values).mean())
        for order in range(1, most + 1)
        for members in combinations(range(n), order)
    }
    least = share * max(abs(value) for value in effects.values())
    names = game.names
    strong = {members: value for members, value in effects.items() if abs(value) > least}
    return Truth(
        {names[i] for members in strong for i in members},
        {
            tuple(sorted(names[i] for i in members)): 1 if value > 0 else -1
            for members, value in strong.items()
            if len(members) > 1
        },
    )


def recovered(found: Any, most: int = 3) -> Truth:
    """What a decoder reports."""
    rows = [row for row in found.top(10_000) if 1 <= len(row.components) <= most]
    largest = max((abs(row.effect) for row in rows), default=0.0)
    strong = [
        row for row in rows if abs(row.effect) > SHARE * largest and abs(row.coefficient) > ERRORS * row.standard_error
    ]
    return Truth(
        {name for row in strong for name in row.components},
        {tuple(sorted(row.components)): 1 if row.effect > 0 else -1 for row in strong if len(row.components) > 1},
    )


def all_masks(n_players: int) -> Any:
    """Every mask once: bool ``(2**n, n)``."""
    return np.array(list(product((False, True), repeat=n_players)))


def decoded(game: Any, method: str, budget: int, seed: int = 0, keep: float = 0.5) -> Any:
    """The game decoded from so many ablations, or from all where there are no more; with gradients where they help."""
    n = game.n_players
    masks = all_masks(n) if 2**n <= budget else cx.sample_masks(n, budget, keep=keep, seed=seed)
    run = game.evaluate(masks, gradients=method in ("auto", "gradspex"), progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cx.decode(masks, run.values, gradients=run.gradients, method=method, names=game.names, seed=seed)


def replicated(game: Any, found: Truth, n_contexts: int = 16, seed: int = 1, keep: float = 0.5) -> Truth:
    """What is left of it after each set was measured again in fresh contexts, with the measured signs."""
    place = {name: i for i, name in enumerate(game.names)}
    sets = [tuple(sorted(place[name] for name in members)) for members in found.interactions]
    sets += [(place[name],) for name in sorted(found.nodes)]
    contexts = cx.sample_masks(game.n_players, n_contexts, keep=keep, seed=seed)
    measured = replicate(lambda masks: game.evaluate(masks, progress=False).per_prompt, sets, contexts)
    q_of = dict(zip(sets, q_values([measured[members].p_value() for members in sets]), strict=True))
    kept = {
        tuple(sorted(game.names[i] for i in members)): 1 if measured[members].estimate().value > 0 else -1
        for members in sets
        if q_of[members] <= RATE and abs(measured[members].estimate().value) > 1e-4
    }
    interactions = {
        members: sign for members, sign in kept.items() if len(members) > 1 and found.interactions[members] == sign
    }
    nodes = {members[0] for members in kept if len(members) == 1} | {name for each in interactions for name in each}
    return Truth(nodes, interactions)


def scores(truth: Truth, found: Truth) -> tuple[Score, Score]:
    """Of the nodes, and of the interactions with their signs."""
    return (
        Score.of(found.nodes, truth.nodes),
        Score.of(set(found.interactions.items()), set(truth.interactions.items())),
    )


def patched(game: Any) -> set[str]:
    """The nodes that attribution patching reports."""
    slopes = nap(game, progress=False)
    return {name for name, slope in zip(game.names, slopes, strict=True) if abs(slope) > SHARE * np.abs(slopes).max()}


def table(rows: Sequence[Sequence[object]], head: Sequence[str]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(f"{c:.2f}" if isinstance(c, float) else str(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)
