"""Ridge regression (Hoerl and Kennard 1970) with a penalty chosen by exact leave-one-out; one eigendecomposition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitspex.typing import FloatArray, Values

# Relative to the mean square of the features.
_PENALTIES = np.geomspace(1e-6, 1e1, 15)


@dataclass(frozen=True)
class Ridge:
    """``constant + features @ weights``, and what leave-one-out predicts for each row it was fitted to."""

    constant: float
    weights: FloatArray
    left_out: Values

    def predict(self, features: FloatArray) -> Values:
        """The value of each row of features ``(K, T)``."""
        return np.asarray(self.constant + features @ self.weights)


def fit_ridge(features: FloatArray, values: Values) -> Ridge:
    """Least squares with a squared penalty on the weights; the constant is free.

    With the eigenvectors of the Gram matrix ``F'F = V diag(l) V'``, the hat matrix of every penalty ``a`` has the
    diagonal ``h_k(a) = 1/K + sum_t (FV)_kt² / (l_t + a)``, and the residual with row k left out is the residual divided
    by ``1 - h_k`` (PRESS, Allen 1974). So all penalties cost one decomposition, of the smaller of ``F'F`` and ``FF'``.

    Args:
        features: float ``(K, T)``.
        values: float ``(K,)``.
    """
    n_rows, n_features = features.shape
    mean, centre = float(values.mean()), features.mean(0)
    y = values - mean
    if n_features == 0:
        left_out = mean - y / max(1, n_rows - 1)
        return Ridge(mean, np.zeros(0), left_out)
    f = features - centre
    if n_features <= n_rows:
        spectrum, vectors = np.linalg.eigh(f.T @ f)
        spectrum = np.maximum(spectrum, 0.0)
        scores = f @ vectors  # (K, T), columns of squared length l
        along = scores.T @ y
    else:
        spectrum, left = np.linalg.eigh(f @ f.T)
        spectrum = np.maximum(spectrum, 0.0)
        scores = left * np.sqrt(spectrum)
        along = scores.T @ y
    penalties = _PENALTIES * max(float(spectrum.sum()) / n_features, 1e-300)
    shrink = 1 / (spectrum[:, None] + penalties)  # (T, penalties)
    residual = y[:, None] - scores @ (along[:, None] * shrink)
    leverage = np.minimum((scores**2) @ shrink + 1 / n_rows, 1 - 1e-6)
    left_out = residual / (1 - leverage)
    best = int(np.argmin((left_out**2).sum(0)))
    if n_features <= n_rows:
        weights = vectors @ (along * shrink[:, best])
    else:
        weights = f.T @ (left @ ((left.T @ y) * shrink[:, best]))
    return Ridge(mean - float(centre @ weights), weights, values - left_out[:, best])
