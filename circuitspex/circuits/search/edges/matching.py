"""Circuits that behave like the model: as many opposing edges as bring the metric to the whole model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from circuitspex.circuits.edge_circuits import EdgeCircuit
from circuitspex.circuits.search.edges.slopes import ranked
from circuitspex.typing import FloatArray, PerPrompt

OPPOSING = (0.125, 0.25, 0.5, 1.0, 2.0)
"""How much the size of an opposing effect counts beside that of a helping one."""


def matched(
    highest: Sequence[EdgeCircuit],
    scores: FloatArray,
    ends: PerPrompt,
    choose: Callable[[FloatArray, int], EdgeCircuit],
    run: Callable[[list[EdgeCircuit]], list[EdgeCircuit]],
) -> list[EdgeCircuit]:
    """For each size the circuit, of those run, whose metric is nearest to the whole model's.

    Where the circuit with most of the behaviour has less than the model, it is likely the nearest. Where it has more,
    edges are ordered with their opposing ones among them: from helping ones alone to all by their size.

    Args:
        highest: the circuits with most of the behaviour, run.
        scores: main effects ``(n,)``.
        ends: the metric ``(2, P)`` with everything open, and with nothing.
        choose: from what edges are ordered by, and a size, to a circuit.
        run: gives circuits their metric.
    """
    whole = float(ends[0].mean())

    def distance(circuit: EdgeCircuit) -> float:
        return np.inf if circuit.value is None else abs(circuit.value - whole)

    n = len(scores)
    sizes = [each.budget for each in highest]
    tried = [run([choose(ranked(scores, weight), size) for weight in OPPOSING]) for size in sizes if size < n]
    found = []
    for place, (size, high) in enumerate(zip(sizes, highest, strict=True)):
        if size == n:
            found.append(high)
            continue
        row = tried[place]
        best = min([high, *row], key=distance)
        for one, two, low, above in zip(row, row[1:], OPPOSING, OPPOSING[1:], strict=False):
            if one.value is not None and two.value is not None and (one.value - whole) * (two.value - whole) < 0:
                part = (whole - one.value) / (two.value - one.value)
                between = run([choose(ranked(scores, float(low * (above / low) ** part)), size)])
                best = min([best, *between], key=distance)
        found.append(best)
    return found
