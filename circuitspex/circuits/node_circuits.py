"""Circuits of components at every size: most of the behaviour, and most like the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from circuitspex.by_value import by_value
from circuitspex.circuits.sized_circuits import SizedCircuit, SizedCircuits
from circuitspex.typing import IntArray


@by_value
@dataclass(frozen=True, repr=False, kw_only=True)
class NodeCircuits(SizedCircuits[SizedCircuit]):
    """What ``find_nodes`` gives: a circuit with most of the behaviour and one most like the model, at each size.

    ``components`` has the names of all that were players, in the order of columns. All else is as in
    ``SizedCircuits``.
    """

    components: tuple[str, ...]

    players: ClassVar[str] = "components"

    @property
    def names(self) -> tuple[str, ...]:
        """What the components are called, in the order of columns."""
        return self.components

    def _best_of(self, order: IntArray, size: int) -> SizedCircuit:
        return first_of(self.components, order, size)


def first_of(names: tuple[str, ...], order: IntArray, size: int) -> SizedCircuit:
    """The circuit of the first ``size`` of an order, not run."""
    columns = np.sort(order[:size])
    return SizedCircuit(columns, tuple(names[i] for i in columns.tolist()), size)
