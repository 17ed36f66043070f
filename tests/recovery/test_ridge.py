"""Ridge regression beside its definition: every row left out by hand."""

import numpy as np
import pytest

from circuitspex.recovery.decoders.ridge import _PENALTIES, fit_ridge


def by_hand(features, values, penalty):
    """Ridge with a free constant, by its normal equations."""
    centre, mean = features.mean(0), values.mean()
    f = features - centre
    weights = np.linalg.solve(f.T @ f + penalty * np.eye(f.shape[1]), f.T @ (values - mean))
    return mean - centre @ weights, weights


@pytest.mark.parametrize("shape", [(40, 7), (12, 30), (20, 20), (5, 1)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_weights_are_those_of_the_normal_equations(shape, seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=shape) + 1
    values = features[:, 0] * 2 + rng.normal(size=shape[0]) * 0.3 + 5
    found = fit_ridge(features, values)
    f = features - features.mean(0)
    scale = np.linalg.eigvalsh(f.T @ f).clip(0).sum() / shape[1]
    errors = []
    for penalty in _PENALTIES * scale:
        constant, weights = by_hand(features, values, penalty)
        errors.append(max(abs(found.constant - constant), np.abs(found.weights - weights).max()))
    # One of the penalties was chosen; rounding of 1e-6 from the smallest of them.
    assert min(errors) < 1e-6


def test_leave_one_out_is_that_of_refits_for_centred_columns():
    """Left-out residuals are e / (1 - h): beside refits without each row, up to the constant's re-estimation."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(25, 4))
    values = features @ np.array([1.0, -2.0, 0.5, 0.0]) + rng.normal(size=25) * 0.5
    found = fit_ridge(features, values)
    f = features - features.mean(0)
    scale = np.linalg.eigvalsh(f.T @ f).sum() / 4
    errors = []
    for penalty in _PENALTIES * scale:
        left_out = []
        for row in range(25):
            others = np.arange(25) != row
            constant, weights = by_hand(features[others], values[others], penalty)
            left_out.append(constant + features[row] @ weights)
        errors.append(np.abs(np.array(left_out) - found.left_out).max())
    # The shortcut holds the centre of the columns fixed: exact for least squares, and close for a small penalty.
    assert min(errors) < 0.02


def test_without_features_the_mean_is_predicted():
    values = np.arange(5.0)
    found = fit_ridge(np.zeros((5, 0)), values)
    assert found.predict(np.zeros((2, 0))) == pytest.approx([2.0, 2.0])
    assert found.left_out == pytest.approx([values[np.arange(5) != i].mean() for i in range(5)])
