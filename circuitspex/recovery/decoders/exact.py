"""Games of a few components whose every mask has been run: nothing is left to infer."""

from __future__ import annotations

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.bases.walsh import walsh_hadamard
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.typing import Term, Values

MOST_PLAYERS = 12
# Copies of a mask may differ by so much of the range of all values: rounding in single precision.
_NOISE = 1e-4


def fit_complete(samples: Samples) -> Fitted | None:
    """The function itself, ``c_S = 2^-n sum_m f(m) x_S(m)``, where all ``2^n`` masks are there; else None.

    None too where a repeated mask has another value: such a game is noisy, and has to be fitted. There is no mask that
    the function has not seen, so its predictions 'out of fold' are its own values, and R² is 1.
    """
    n = samples.n_players
    if n > MOST_PLAYERS or len(samples.values) < 2**n:
        return None
    codes = (samples.x < 0) @ (1 << np.arange(n))
    counts = np.bincount(codes, minlength=2**n)
    if not counts.all():
        return None
    means = np.bincount(codes, weights=samples.values, minlength=2**n) / counts
    if np.abs(samples.values - means[codes]).max() > _NOISE * float(np.ptp(means)):
        return None
    function = function_of_table(means)
    return Fitted(function, tuple(function for _ in samples.folds), means[codes])


def function_of_table(values: Values) -> Polynomial:
    """The sum of parities with these values, ``(2^n,)``; bit i of a place says that component i is ablated."""
    n = len(values).bit_length() - 1
    spectrum = walsh_hadamard(values) / 2**n
    scale = float(np.abs(spectrum).max())
    table: dict[Term, float] = {}
    for code in np.flatnonzero(np.abs(spectrum) > 1e-12 * scale).tolist():
        table[tuple(i for i in range(n) if code >> i & 1)] = float(spectrum[code])
    return Polynomial.of(table)
