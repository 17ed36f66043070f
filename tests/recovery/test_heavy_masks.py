"""Masks under which all gradients are huge: they say little, and must not drown what the others say."""

import numpy as np
import pytest
from planted import gradients_of, r2, random_masks, random_table, values_of

from circuitspex.recovery import decode
from circuitspex.recovery.decoders.heavy import excess_of, mean_gradient

N, N_MASKS = 24, 80
pytestmark = pytest.mark.usefixtures("no_learning_curve")


def _fit(seed, times, share=0.1):
    """R² on fresh masks where a share of the masks has gradients of another direction, and so many times as long."""
    rng = np.random.default_rng(seed)
    table = random_table(N, seed=seed)
    masks, fresh = random_masks(N_MASKS, N, seed=seed + 50), random_masks(1000, N, seed=seed + 500)
    gradients = gradients_of(table, masks)
    heavy = rng.permutation(N_MASKS)[: round(share * N_MASKS)]
    if times:
        length = np.linalg.norm(gradients, axis=1).mean()
        gradients[heavy] = times * length * rng.normal(size=(len(heavy), N)) / np.sqrt(N)
    found = decode(masks, values_of(table, masks), gradients=gradients, method="gradspex")
    return r2(values_of(table, fresh), found.predict(fresh))


@pytest.mark.some(2)
@pytest.mark.parametrize("times", [20, 1000])
def test_they_cost_little(times):
    clean = [_fit(seed, 0) for seed in range(4)]
    heavy = [_fit(seed, times) for seed in range(4)]
    assert np.mean(heavy) > np.mean(clean) - 0.05, f"{np.mean(heavy):.3f}, and {np.mean(clean):.3f} without"


def test_only_masks_far_above_the_median_are_taken_down():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 10))
    rows *= (1 + 0.3 * rng.random((50, 1))) / np.linalg.norm(rows, axis=1, keepdims=True)
    assert excess_of(rows).tolist() == [[1.0]] * 50
    usual = np.median(np.linalg.norm(rows, axis=1))
    rows[7] *= 100
    excess = excess_of(rows)[:, 0]
    assert np.flatnonzero(excess > 1).tolist() == [7]
    assert np.linalg.norm(rows[7]) / excess[7] == pytest.approx(2 * usual, rel=0.02)
    assert excess_of(np.zeros((4, 3))).tolist() == [[1.0]] * 4
    mostly_zero = np.zeros((5, 3))
    mostly_zero[0] = 1e9
    assert np.isfinite(excess_of(mostly_zero)).all()


def test_the_mean_is_weighted_by_what_is_trusted():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(9, 5)) + 3
    np.testing.assert_allclose(mean_gradient(rows, excess_of(rows)), rows.mean(0))
    rows[4] *= 1e4
    mean = mean_gradient(rows, excess_of(rows))
    assert np.abs(mean - np.delete(rows, 4, axis=0).mean(0)).max() < 0.01
