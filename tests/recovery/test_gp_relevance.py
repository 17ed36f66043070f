"""The Gaussian process with learned relevances beside enumerated interactions and finite differences."""

from itertools import combinations

import numpy as np
import pytest
from planted import all_masks, r2, random_masks, random_table, values_of

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.decoders.gp import CONSTANT, Prior
from circuitspex.recovery.decoders.gp_relevance import fit_learned, fit_values, learn, likelihood, relevance_of
from circuitspex.recovery.decoders.linear import fit_linear
from circuitspex.recovery.samples import Samples


def random_prior(n, rng):
    return Prior(rng.uniform(0.02, 0.4, n), 1.0, orders=tuple(rng.uniform(0.1, 1, 3)), value_noise=0.1)


def covariance(x, prior):
    """By the definition: every interaction of order 0 to 3 has its own coefficient."""
    out = np.full((len(x), len(x)), CONSTANT)
    for order in (1, 2, 3):
        for members in combinations(range(x.shape[1]), order):
            column = x[:, list(members)].prod(1)
            out += prior.orders[order - 1] * prior.relevance[list(members)].prod() * np.outer(column, column)
    return out + prior.value_noise * np.eye(len(x))


@pytest.mark.parametrize("seed", range(3))
def test_the_likelihood_is_that_of_the_enumerated_prior(seed):
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((12, 6)) < 0.5, 1.0, -1.0)
    y = rng.normal(size=12)
    prior = random_prior(6, rng)
    loss, *_ = likelihood(x, y, prior)
    c = covariance(x, prior)
    assert loss == pytest.approx(0.5 * y @ np.linalg.solve(c, y) + 0.5 * np.linalg.slogdet(c)[1], rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_its_gradient_is_that_of_finite_differences(seed):
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((15, 5)) < 0.5, 1.0, -1.0)
    y = rng.normal(size=15)
    prior = random_prior(5, rng)
    _, relevance, orders, noise = likelihood(x, y, prior)
    step = 1e-5  # central differences in double precision: error about 1e-9

    def moved(place, by):
        rho, weights, level = prior.relevance.copy(), list(prior.orders), prior.value_noise
        if place < 5:
            rho[place] *= np.exp(by)
        elif place < 8:
            weights[place - 5] *= np.exp(by)
        else:
            level *= np.exp(by)
        return likelihood(x, y, Prior(rho, 1.0, orders=tuple(weights), value_noise=level))[0]

    # One product of the gradient along relevances is in single precision.
    for place, found in enumerate([*relevance, *orders, noise]):
        assert found == pytest.approx((moved(place, step) - moved(place, -step)) / (2 * step), rel=5e-6, abs=1e-5)


def test_the_fit_is_the_posterior_mean():
    rng = np.random.default_rng(5)
    x = np.where(rng.random((20, 6)) < 0.5, 1.0, -1.0)
    y = rng.normal(size=20) + 3
    prior = random_prior(6, rng)
    fit = fit_values(x, y, prior)
    new = np.where(all_masks(6), 1.0, -1.0)
    both = np.concatenate([x, new])
    c = covariance(both, prior)
    across = c[20:, :20]
    expected = y.mean() + across @ np.linalg.solve(c[:20, :20], y - y.mean())
    assert fit.predict(new) == pytest.approx(expected, abs=1e-9)
    terms = [members for order in (1, 2, 3) for members in combinations(range(6), order)]
    table = {(): fit.constant()}
    for term in terms:
        table[term] = float(fit.coefficients(np.array([term]))[0])
    assert Polynomial.of(table).predict(new) == pytest.approx(expected, abs=1e-9)


def test_learning_finds_what_matters():
    table = random_table(30, counts=(4, 3, 1), seed=2)
    masks = random_masks(250, 30, seed=4)
    samples = Samples.check(masks, values_of(table, masks), None, 0)
    prior = learn(samples, np.full(30, 1 / 30), None)
    active = {i for term in table for i in term}
    assert min(prior.relevance[i] for i in active) > max(prior.relevance[i] for i in set(range(30)) - active)
    found = fit_learned(samples, fit_linear(samples))
    fresh = random_masks(500, 30, seed=5)
    assert r2(values_of(table, fresh), found.function.predict(np.where(fresh, 1.0, -1.0))) > 0.97


def test_relevance_is_the_share_of_the_variance():
    found = relevance_of(Polynomial.of({(): 9.0, (0,): 1.0, (1, 2): 2.0}), 4)
    assert found.sum() == pytest.approx(1)
    assert found[1] == found[2] > found[0] > found[3] > 0
    assert relevance_of(Polynomial.of({(): 1.0}), 4) == pytest.approx([0.25] * 4)


def test_orders_are_left_out_on_request():
    masks = random_masks(60, 8, seed=1)
    samples = Samples.check(masks, values_of(random_table(8), masks), None, 0)
    found = fit_learned(samples, fit_linear(samples), max_order=2)
    assert max(len(term) for term in found.function.terms) == 2
