"""Samples in a standard form, on which no decoder's answer depends on units or on the order of components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from circuitspex.half_precision import HALF_FROM
from circuitspex.recovery.bases.polynomial import Polynomial, combine
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.r2 import is_constant
from circuitspex.typing import IntArray


@dataclass(frozen=True)
class Standard:
    """``samples`` in standard form: column i is the caller's component ``order[i]``, values ``(y - mean) / spread``.

    With values of mean 0 and variance 1 no threshold depends on units, and trees, which keep values in single
    precision, lose none of a small variation around a large mean. Components stand in the order of how strongly they
    correlate with the values: where two splits of a tree are equally good the first is taken, and which one that is
    must not depend on the caller's order.
    """

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
        x, gradients = samples.x, samples.sign_gradients
        if reorder:
            x = np.ascontiguousarray(x[:, order])
            gradients = None if gradients is None else np.ascontiguousarray(gradients[:, order])
        gradients = None if gradients is None else gradients / gradients.dtype.type(spread)
        return cls(replace(samples, x=x, values=values, sign_gradients=gradients), order, mean, spread)

    def restored(self, fitted: Fitted) -> Fitted:
        """A fit to these samples as one to the caller's."""
        functions = tuple(map(self._restored, fitted.without_fold))
        return Fitted(self._restored(fitted.function), functions, fitted.out_of_fold * self.spread + self.mean)

    def _restored(self, function: Polynomial) -> Polynomial:
        return combine([(1.0, Polynomial.of({(): self.mean})), (self.spread, function.renamed(self.order))])


def fit_in_standard_form(samples: Samples, fit: Callable[[Samples], Fitted], *, reorder: bool = True) -> Fitted:
    """A decoder's fit to the samples in their standard form, in the caller's terms; values that do not vary need none.

    ``reorder``: see ``Standard.of``.
    """
    if is_constant(samples.values):
        mean = float(samples.values.mean())
        function = Polynomial.of({(): mean})
        return Fitted(function, tuple(function for _ in samples.folds), np.full_like(samples.values, mean))
    standard = Standard.of(samples, reorder=reorder)
    return standard.restored(fit(standard.samples))
