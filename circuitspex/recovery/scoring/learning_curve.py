"""How many ablations a result that explains too little would need: the learning curve, measured and continued."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.r2 import is_constant, r_squared

# A forecast of more than this many times the ablations at hand is not given as a number.
BEYOND = 20
_SHARES = (0.35, 0.65)


def likely_budget(curve: Sequence[tuple[int, float]], wanted: float) -> int | None:
    """How many ablations will likely reach an R², from points (ablations, R²) of a learning curve.

    ``1 - R² = a K^-b``, a power law as in Cortes et al. ('Learning curves', 1994), fitted by least squares of the
    logarithms; rounded up to two digits.

    Returns:
        None where the curve does not rise, or the number is more than ``BEYOND`` times that of the last point.
    """
    law = power_law(curve)
    if law is None:
        return None
    largest = max(size for size, _ in curve)
    needed = (math.log(1 - wanted) - law[0]) / law[1]
    if needed > math.log(BEYOND * largest):
        return None
    return round_up(max(math.exp(needed), 1.5 * largest))  # the target was missed, so about as many are no answer


def power_law(curve: Sequence[tuple[int, float]]) -> tuple[float, float] | None:
    """``log a`` and ``-b`` of ``1 - R² = a K^-b``; None where the curve has one size only, or does not rise."""
    if len({size for size, _ in curve}) < 2:
        return None
    missing = np.log([max(1 - r2, 1e-9) for _, r2 in curve])
    exponent, level = np.polyfit(np.log([size for size, _ in curve]), missing, 1)
    return None if exponent >= -1e-6 else (float(level), float(exponent))


def round_up(number: float) -> int:
    """To two significant digits, upwards: an extrapolation is no more exact than that."""
    unit = int(10 ** max(0, math.floor(math.log10(number)) - 1))
    return math.ceil(number / unit - 1e-9) * unit


def learning_curve(samples: Samples, fit: Callable[[Samples], Fitted]) -> list[tuple[int, float]]:
    """(ablations, R² on the other masks) of fits to parts of the samples; whole groups of equal masks stay together."""
    _, group = np.unique(samples.x, axis=0, return_inverse=True)
    group = group.reshape(-1)
    order = np.random.default_rng(samples.seed).permutation(int(group.max()) + 1)
    curve = []
    for share in _SHARES:
        inside = np.isin(group, order[: round(share * len(order))])
        few = len(np.unique(samples.x[inside], axis=0)) < 10
        if few or inside.all() or is_constant(samples.values[inside]):
            continue
        part = replace(samples.rows(np.flatnonzero(inside)), keep=samples.keep)
        predicted = fit(part).function.predict(samples.x[~inside])
        r2 = r_squared(samples.values[~inside], predicted)
        if r2 is not None:
            curve.append((int(inside.sum()), r2))
    return curve
