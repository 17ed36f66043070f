"""Gradients that say nothing, or are wrong, cost next to nothing."""

import warnings
from functools import cache

import numpy as np
import pytest
from planted import gradients_of, r2, random_masks, random_table, values_of

from circuitspex.recovery import decode

GARBAGE = {
    "Cauchy noise": lambda gradients, rng: 100 * rng.standard_cauchy(gradients.shape),
    "added Cauchy noise": lambda gradients, rng: gradients + 100 * rng.standard_cauchy(gradients.shape),
    "signs flipped": lambda gradients, rng: -gradients,
    "zero": lambda gradients, rng: np.zeros_like(gradients),
    "a million times too large": lambda gradients, rng: 1e6 * gradients,
    "a million times too small": lambda gradients, rng: 1e-6 * gradients,
    "components exchanged": lambda gradients, rng: gradients[:, rng.permutation(gradients.shape[1])],
}
SEEDS = range(4)
SIZES = [(16, 60), (30, 100)]


def _problem(n, n_masks, seed):
    table = random_table(n, seed=seed)
    masks, fresh = random_masks(n_masks, n, seed=seed + 50), random_masks(1000, n, seed=seed + 500)
    values = values_of(table, masks) + 0.3 * np.random.default_rng(seed).normal(size=n_masks)
    return masks, values, gradients_of(table, masks), fresh, values_of(table, fresh)


def _r2(n, n_masks, seed, method, spoil=None):
    masks, values, gradients, fresh, truth = _problem(n, n_masks, seed)
    if spoil:
        gradients = spoil(gradients, np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return r2(truth, decode(masks, values, gradients=gradients, method=method).predict(fresh))


@cache
def _without(n, n_masks):
    """The better of the two decoders that see no gradients, on average over the seeds."""
    return max(np.mean([_r2(n, n_masks, seed, method) for seed in SEEDS]) for method in ("linear", "proxyspex"))


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize(("n", "n_masks"), SIZES)
def test_gradients_never_cost_more_than_two_hundredths_of_r2(n, n_masks, kind):
    found = np.mean([_r2(n, n_masks, seed, "gradspex", GARBAGE[kind]) for seed in SEEDS])
    assert found > _without(n, n_masks) - 0.02, f"{found:.3f} against {_without(n, n_masks):.3f}"
