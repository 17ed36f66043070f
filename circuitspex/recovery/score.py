"""How good a prediction is: R² with a bootstrap interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitspex.arrays import check_finite
from circuitspex.typing import Values

# Below this share of the values' own size the spread is rounding noise: the game is constant.
_CONSTANT = 1e-12


@dataclass(frozen=True)
class Score:
    """R² and the ends of its 95 % bootstrap interval over masks; None where the values do not vary."""

    r2: float | None
    low: float | None
    high: float | None
    n_masks: int

    def __str__(self) -> str:
        if not self.n_masks:
            return "R² not measured"
        if self.r2 is None:
            return f"R² undefined: the values are constant on {self.n_masks} masks"
        return f"R² {self.r2:.3f} [{self.low:.3f}, {self.high:.3f}] on {self.n_masks} masks"


def is_constant(values: Values) -> bool:
    """Whether the values do not vary beyond rounding; none at all do not vary."""
    if not len(values):
        return True
    return bool(np.ptp(values) <= _CONSTANT * max(1e-300, float(np.abs(values).max())))


def r_squared(values: Values, predicted: Values) -> float | None:
    """``1 - sum (y - p)² / sum (y - mean y)²``; None where y is constant."""
    if is_constant(values):
        return None
    return float(1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum())


def score(values: Values, predicted: Values, *, seed: int = 0, n_resamples: int = 1000) -> Score:
    """R² with its percentile bootstrap interval over masks.

    Use it on masks that no fit has seen, or it flatters.
    """
    values = check_finite(values, (None,), "values")
    predicted = check_finite(predicted, (len(values),), "predictions")
    r2 = r_squared(values, predicted)
    n = len(values)
    if r2 is None or n < 2:
        return Score(r2, r2, r2, n)
    picks = np.random.default_rng(seed).integers(0, n, (n_resamples, n))
    y = values[picks]
    error = ((y - predicted[picks]) ** 2).sum(1)
    spread = ((y - y.mean(1, keepdims=True)) ** 2).sum(1)
    varies = np.ptp(y, axis=1) > _CONSTANT * np.abs(y).max(1)  # R² is undefined where one value was drawn throughout
    low, high = np.quantile(1 - error[varies] / spread[varies], [0.025, 0.975])
    return Score(r2, float(min(low, r2)), float(max(high, r2)), n)
