"""Samples in a standard form for the decoders, and their functions in the caller's terms again.

Values of mean 0 and variance 1: no threshold depends on units, and trees, which keep values in single precision, lose
none of a small variation around a large mean. Components in the order of how strongly they go with the values: where
two splits of a tree are equally good the first is taken, and which it is must not depend on the caller's order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from circuitspex.half import HALF_FROM
from circuitspex.recovery.data import Fitted, Samples
from circuitspex.recovery.polynomial import Polynomial
from circuitspex.typing import IntArray, Term


@dataclass(frozen=True)
class Standard:
    """``samples`` in standard form; their columns ``order`` of the caller's, the mean and the spread taken out."""

    samples: Samples
    order: IntArray
    mean: float
    spread: float

    @classmethod
    def of(cls, samples: Samples, *, reorder: bool = True) -> Standard:
        """The values must vary; with ``reorder`` False, and with very many components, they stay where they are."""
        reorder = reorder and samples.n_players <= HALF_FROM  # the screen reorders those that it picks
        mean, spread = float(samples.values.mean()), float(samples.values.std())
        values = (samples.values - mean) / spread
        order = np.argsort(-np.abs(values @ samples.x), kind="stable") if reorder else np.arange(samples.n_players)
        x, slopes = samples.x, samples.slopes
        if reorder:
            x = np.ascontiguousarray(x[:, order])
            slopes = None if slopes is None else np.ascontiguousarray(slopes[:, order])
        slopes = None if slopes is None else slopes / slopes.dtype.type(spread)
        return cls(replace(samples, x=x, values=values, slopes=slopes), order, mean, spread)

    def restored(self, fitted: Fitted) -> Fitted:
        """A fit to these samples as one to the caller's."""
        functions = tuple(map(self._restored, fitted.without_fold))
        return Fitted(self._restored(fitted.function), functions, fitted.out_of_fold * self.spread + self.mean)

    def _restored(self, function: Polynomial) -> Polynomial:
        names = self.order.tolist()
        table: dict[Term, float] = {(): self.mean}
        for term, value in zip(function.terms, function.coefficients.tolist(), strict=True):
            members = tuple(sorted(names[i] for i in term))
            table[members] = table.get(members, 0.0) + self.spread * value
        return Polynomial.of(table)
