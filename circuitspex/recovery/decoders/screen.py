"""Many thousands of components: interactions are looked for among those with the largest gradients.

The rest enter with their mean gradient alone, as main effects, and nothing of size n² is formed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from circuitspex.half_precision import HALF_FROM
from circuitspex.recovery.bases.polynomial import Polynomial, combine
from circuitspex.recovery.decoders.heavy import excess_of, mean_gradient
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.typing import FloatArray, IntArray, Values

# With more than HALF_FROM components, so many are kept for the fit of interactions.
_CHOSEN = 1000


@dataclass(frozen=True)
class Screen:
    """The chosen components as samples of their own, and the main effects of the others.

    ``samples`` have the values without what the others add; ``columns`` ``(m,)`` are the chosen components;
    ``rest`` the others' function, ``rest_without`` the same without each fold, and ``added`` ``(K,)`` what they add to
    each value, from the gradients of the other folds.
    """

    samples: Samples
    columns: IntArray | None
    rest: Polynomial
    rest_without: tuple[Polynomial, ...]
    added: Values

    @classmethod
    def of(cls, samples: Samples) -> Screen:
        """All components where they are few, else those with the largest mean square gradient."""
        if samples.sign_gradients is None or samples.n_players <= HALF_FROM:
            nothing = Polynomial.of({})
            return cls(samples, None, nothing, tuple(nothing for _ in samples.folds), np.zeros_like(samples.values))
        sign_gradients = samples.sign_gradients
        excess = excess_of(sign_gradients)
        scaled = sign_gradients / excess.astype(sign_gradients.dtype)
        ranked = np.argsort(-np.einsum("kn,kn->n", scaled, scaled), kind="stable")
        columns = np.sort(ranked[:_CHOSEN])
        # In the order of how strongly they correlate with the values, as ``Standard`` has it.
        x = samples.x[:, columns].astype(np.float64)
        columns = columns[np.argsort(-np.abs(samples.values @ x), kind="stable")]
        others = np.sort(ranked[_CHOSEN:])
        rest_x, rest_gradients = samples.x[:, others], sign_gradients[:, others]
        added = np.empty_like(samples.values)
        without = []
        for fold in samples.folds:
            out = samples.fold == fold
            mean = mean_gradient(rest_gradients[~out], excess[~out])
            added[out] = rest_x[out] @ mean
            without.append(_linear(others, mean))
        part = replace(
            samples,
            x=np.ascontiguousarray(samples.x[:, columns], dtype=np.float64),
            values=samples.values - added,
            sign_gradients=np.ascontiguousarray(sign_gradients[:, columns], dtype=np.float64),
        )
        return cls(part, columns, _linear(others, mean_gradient(rest_gradients, excess)), tuple(without), added)

    def whole(self, fitted: Fitted) -> Fitted:
        """A fit to the chosen components, with the others put back."""
        if self.columns is None:
            return fitted
        found = zip((fitted.function, *fitted.without_fold), (self.rest, *self.rest_without), strict=True)
        function, *without = (combine([(1.0, each.renamed(self.columns)), (1.0, rest)]) for each, rest in found)
        return Fitted(function, tuple(without), fitted.out_of_fold + self.added)


def _linear(members: IntArray, weights: FloatArray) -> Polynomial:
    return Polynomial.of({(int(i),): float(w) for i, w in zip(members, weights, strict=True)})
