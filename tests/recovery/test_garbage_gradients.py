"""Gradients that say nothing, or are wrong, cost next to nothing."""

import warnings
from functools import cache

import numpy as np
import pytest
from planted import gradients_of, r2, random_masks, random_table, values_of

from circuitspex.recovery import decode
from circuitspex.recovery.decoders import stack
from circuitspex.recovery.decoders.proxyspex import fit_proxyspex

GARBAGE = {
    "Cauchy noise": lambda gradients, rng: 100 * rng.standard_cauchy(gradients.shape),
    "added Cauchy noise": lambda gradients, rng: gradients + 100 * rng.standard_cauchy(gradients.shape),
    "signs flipped": lambda gradients, rng: -gradients,
    "zero": lambda gradients, rng: np.zeros_like(gradients),
    "a million times too large": lambda gradients, rng: 1e6 * gradients,
    "a million times too small": lambda gradients, rng: 1e-6 * gradients,
}
# Single games differ by more than what is tested: by chance, a part that knows nothing can look useful.
SEEDS = range(8)
N, N_MASKS = 16, 60


@pytest.fixture
def trees_once_a_problem(monkeypatch, no_learning_curve):
    """The trees see no gradient, so those of one problem are the same whatever the garbage; gives those kept."""
    monkeypatch.setattr(stack, "fit_proxyspex", _cached_trees)
    return _TREES


_TREES = {}


def _cached_trees(samples, *, max_order=None):
    key = samples.x.tobytes(), samples.values.tobytes(), samples.fold.tobytes(), max_order
    if key not in _TREES:
        _TREES[key] = fit_proxyspex(samples, max_order=max_order)
    return _TREES[key]


def _r2(seed, method, spoil=lambda gradients, rng: gradients):
    table = random_table(N, seed=seed)
    masks, fresh = random_masks(N_MASKS, N, seed=seed + 50), random_masks(1000, N, seed=seed + 500)
    values = values_of(table, masks) + 0.3 * np.random.default_rng(seed).normal(size=N_MASKS)
    gradients = spoil(gradients_of(table, masks), np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = decode(masks, values, gradients=gradients, method=method)
    return r2(values_of(table, fresh), found.predict(fresh))


@cache
def _mean_r2(method):
    return np.mean([_r2(seed, method) for seed in SEEDS])


@pytest.mark.some(6)
@pytest.mark.parametrize("kind", GARBAGE)
def test_gradients_never_cost_more_than_two_hundredths_of_r2(kind, trees_once_a_problem):
    found = np.mean([_r2(seed, "gradspex", GARBAGE[kind]) for seed in SEEDS])
    assert len(trees_once_a_problem) == len(SEEDS), "the trees of a problem were fitted more than once"
    without = max(_mean_r2("linear"), _mean_r2("proxyspex"))
    assert found > without - 0.02, f"R² {found:.3f}, and {without:.3f} without gradients"
    print(f"{kind}: R² {found:.3f}, and {without:.3f} without gradients")


def test_zero_gradients_are_reported_and_left_out():
    table, masks = random_table(N, seed=0), random_masks(N_MASKS, N, seed=0)
    with pytest.warns(UserWarning, match="all gradients are zero"):
        decode(masks, values_of(table, masks), gradients=np.zeros(masks.shape), method="gradspex")


@pytest.mark.usefixtures("trees_once_a_problem")
def test_true_gradients_pay():
    assert _mean_r2("gradspex") > max(_mean_r2("linear"), _mean_r2("proxyspex")) + 0.1
