"""How good a prediction is: R² with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from circuitspex.checks import check_finite
from circuitspex.errors import UserError
from circuitspex.scale import power_of_two
from circuitspex.statistics import half_width, jackknife_errors
from circuitspex.typing import Values

# Below this share of the values' own size the spread is rounding noise: the game is constant.
_CONSTANT = 1e-12
# See ``cross_validated_score``.
_SPREAD = 0.3
# Of two or three masks an interval can be as wide as anything: the logarithm of a factor that is still a number.
_WIDEST = 50.0
# One mask can hold all of the error, which then has no logarithm without it.
_MOST = 0.95


@dataclass(frozen=True)
class Score:
    """R² and the ends of its 95 % interval over masks; None where the values do not vary."""

    r2: float | None
    low: float | None
    high: float | None
    n_masks: int

    def __str__(self) -> str:
        if not self.n_masks:
            return "R² not measured"
        if self.r2 is None:
            return f"R² undefined: the values are constant on {self.n_masks} masks"
        return f"R² {self.r2:z.3f} [{self.low:z.3f}, {self.high:z.3f}] on {self.n_masks} masks"


def is_constant(values: Values) -> bool:
    """Whether the values do not vary beyond rounding; none at all do not vary."""
    if not len(values):
        return True
    values = values / power_of_two(values)
    return bool(np.ptp(values) <= _CONSTANT * float(np.abs(values).max()))


def r_squared(values: Values, predicted: Values) -> float | None:
    """``1 - sum (y - p)² / sum (y - mean y)²``; None where y is constant."""
    if is_constant(values):
        return None
    unit = power_of_two(values)
    values, predicted = values / unit, predicted / unit
    with np.errstate(over="ignore"):
        found = float(1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum())
    if not math.isfinite(found):
        raise UserError("the predictions are so far from the values that their R² is no number")
    return found


def score(values: Values, predicted: Values) -> Score:
    """R² with its 95 % interval over masks.

    Use it on masks that no fit has seen: on others it is too high. The interval is Student's t interval of the
    logarithm of the missed share, ``log(1 - R²)``, its standard error by the jackknife over masks (Miller 1974): it
    can't pass 1, and it holds the truth as often as it says, where the percentiles of a bootstrap are too narrow at
    few masks and too high where a few masks hold most of the error.
    """
    values = check_finite(values, (None,), "values")
    predicted = check_finite(predicted, (len(values),), "predictions")
    return _with_interval(values, predicted, spread=0.0)


def cross_validated_score(values: Values, predicted: Values) -> Score:
    """R² of predictions out of fold, as an estimate of the R² on fresh masks of the function fitted to all of them.

    That is another function than the ones that made the predictions, and folds share most of their data, so the
    interval over masks alone is too narrow: on recorded games it held the truth in 39 of 44 runs at 50 ablations. The
    share that is missed, ``1 - R²``, is therefore also varied by a log-normal factor, of spread 0.3 at 50 masks and
    less as ``K^-1/2`` with more.
    """
    return _with_interval(values, predicted, spread=_SPREAD * (50 / max(1, len(values))) ** 0.5)


def _with_interval(values: Values, predicted: Values, *, spread: float) -> Score:
    """R² and its interval; ``spread`` is that of the logarithm of a factor on the missed share."""
    unit = power_of_two(values)
    values, predicted = values / unit, predicted / unit
    r2 = r_squared(values, predicted)
    n = len(values)
    if r2 is None or n < 2 or r2 == 1:
        return Score(r2, r2, r2, n)
    missed, varied = (values - predicted) ** 2, (values - values.mean()) ** 2
    # The logarithm without each mask in turn, less what it is with all of them.
    shares = [missed / missed.sum(), varied / varied.sum() * n / (n - 1)]
    less, least = (np.log1p(-np.minimum(share, _MOST)) for share in shares)
    error = (float(jackknife_errors((less - least)[:, None])[0]) ** 2 + spread**2) ** 0.5
    factor = math.exp(min(half_width(error, n - 1), _WIDEST))
    return Score(r2, 1 - (1 - r2) * factor, 1 - (1 - r2) / factor, n)
