"""Main effects only: LASSO with a cross-validated penalty. The baseline that the other decoders must beat."""

from __future__ import annotations

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.r2 import is_constant
from circuitspex.silence import no_warnings
from circuitspex.typing import FloatArray, Values
from circuitspex.unmoved import unmoved

with unmoved():
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso, lasso_path

_N_PENALTIES = 40
_SMALLEST_PENALTY = 1e-3  # relative to the one that leaves nothing


def fit_linear(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """``f(x) = c_0 + sum c_i x_i`` by LASSO; the penalty by cross-validation over the samples' folds.

    ``max_order`` changes nothing: main effects are of order 1.

    Tibshirani, 'Regression shrinkage and selection via the lasso', 1996.
    """
    x, y = samples.x, samples.values
    penalties = _penalties(x, y)
    errors = np.zeros(len(penalties))
    by_penalty = []
    for fold in samples.folds:
        part = samples.without(fold)
        weights, constants = _path(part.x, part.values, penalties)
        out = samples.fold == fold
        predicted = x[out] @ weights + constants
        errors += ((y[out, None] - predicted) ** 2).sum(0)
        by_penalty.append((weights, constants))
    best = int(np.argmin(errors))
    held_out = np.empty_like(y)
    functions = []
    for fold, (weights, constants) in zip(samples.folds, by_penalty, strict=True):
        out = samples.fold == fold
        held_out[out] = x[out] @ weights[:, best] + constants[best]
        functions.append(Polynomial.affine(constants[best], weights[:, best]))
    weight, constant = _fit(x, y, float(penalties[best]))
    return Fitted(Polynomial.affine(constant, weight), tuple(functions), held_out)


def _penalties(x: FloatArray, y: Values) -> FloatArray:
    largest = float(np.abs((x - x.mean(0)).T @ (y - y.mean())).max()) / len(y)
    largest = largest or 1.0  # no component correlates with the values: any penalty leaves nothing
    return np.geomspace(largest, largest * _SMALLEST_PENALTY, _N_PENALTIES)


def _path(x: FloatArray, y: Values, penalties: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights ``(n, penalties)`` and constants ``(penalties,)``."""
    centre, mean = x.mean(0), float(y.mean())
    if is_constant(y):
        return np.zeros((x.shape[1], len(penalties))), np.full(len(penalties), mean)
    with no_warnings(ConvergenceWarning):  # the smallest penalties, with fewer masks than components
        _, weights, _ = lasso_path(x - centre, y - mean, alphas=penalties, random_state=0)
    return weights, mean - centre @ weights


def _fit(x: FloatArray, y: Values, penalty: float) -> tuple[FloatArray, float]:
    if is_constant(y):
        return np.zeros(x.shape[1]), float(y.mean())
    with no_warnings(ConvergenceWarning):
        model = Lasso(alpha=penalty, random_state=0).fit(x, y)
    return model.coef_, float(model.intercept_)
