"""Circuits that behave like the model: as many opposing edges as bring the metric to the whole model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from circuitspex.circuits.search.rounds.slopes import ranked
from circuitspex.circuits.sized_circuits import OneCircuit
from circuitspex.typing import FloatArray

OPPOSING = (0.125, 0.25, 0.5, 1.0, 2.0)
"""How much the size of an opposing effect counts beside that of a helping one."""


def matched(
    highest: Sequence[OneCircuit],
    scores: FloatArray,
    whole: float,
    choose: Callable[[FloatArray, int], OneCircuit],
    values: Callable[[Sequence[OneCircuit]], FloatArray],
) -> list[OneCircuit]:
    """For each size the circuit, of those run, whose metric is nearest to the whole model's.

    Where the circuit with most of the behaviour has less than the model, it is likely the nearest. Where it has more,
    edges are ordered with their opposing ones among them: from helping ones alone to all by their size, and between two
    such orders with the model's value between theirs.

    Args:
        highest: the circuits with most of the behaviour.
        scores: main effects ``(n,)``, positive where an edge helps the behaviour.
        whole: the metric with everything open, on the prompts of ``values``.
        choose: from what edges are ordered by, and a size, to a circuit.
        values: the mean metric of circuits.
    """
    sizes = [each.budget for each in highest if each.budget < len(scores)]
    tried = [[choose(ranked(scores, weight), size) for weight in OPPOSING] for size in sizes]
    given = iter(values([*highest, *(each for row in tried for each in row)]).tolist())
    candidates = [[(next(given), each)] for each in highest]
    between: list[tuple[int, OneCircuit]] = []
    for place, (size, row) in enumerate(zip(sizes, tried, strict=True)):
        found = [next(given) for _ in row]
        candidates[place] += zip(found, row, strict=True)
        for one, two, low, above in zip(found, found[1:], OPPOSING, OPPOSING[1:], strict=False):
            if (one - whole) * (two - whole) < 0:
                weight = low * (above / low) ** ((whole - one) / (two - one))
                between.append((place, choose(ranked(scores, weight), size)))
    for value, (place, circuit) in zip(values([each for _, each in between]).tolist(), between, strict=True):
        candidates[place].append((value, circuit))
    return [min(each, key=lambda pair: abs(pair[0] - whole))[1] for each in candidates]
