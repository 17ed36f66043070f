"""Masks under which all gradients are huge.

Under a few masks of some games (copying a list, facts that only the prompt states) *all* gradients are ten or a hundred
times as long as under the others: an early norm layer has little left to divide by. Means and means of squares are then
about these few. So a mask whose gradients are more than twice as long as the median counts as one of that length, and
the variance of its noise grows with the square of the excess.
"""

from __future__ import annotations

import numpy as np

from circuitspex.typing import FloatArray

# Gradients of a mask that are longer than so many times the median count as that long.
_LONG = 2.0


def excess_of(sign_gradients: FloatArray) -> FloatArray:
    """How many times longer than twice the median the gradients of each mask are, at least 1; ``(K, 1)``."""
    length = np.sqrt(np.einsum("kn,kn->k", sign_gradients, sign_gradients, dtype=np.float64))
    usual = _LONG * float(np.median(length))
    times = length / usual if usual > 0 else np.ones_like(length)
    return np.asarray(np.maximum(1.0, times)[:, None])


def mean_gradient(sign_gradients: FloatArray, excess: FloatArray) -> FloatArray:
    """The mean over masks ``(n,)``, each weighted by the inverse of what its excess makes of its noise."""
    weights = excess[:, 0] ** -2
    return np.asarray(weights @ sign_gradients / weights.sum(), dtype=np.float64)
