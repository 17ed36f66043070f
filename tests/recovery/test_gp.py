"""The Gaussian process without a matrix, against the obvious one.

The reference writes every interaction down: one column of the design for each, with its prior variance, its derivatives
in the rows of the gradients, and the tilts as columns of their own that only the gradients of one component see.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from planted import all_masks, random_masks

from circuitspex.recovery.bases.polynomial import signs
from circuitspex.recovery.decoders.gp import CONSTANT, Prior, cubes, fit_anova, relevance_from_gradients

EXACT = {"tolerance": 1e-13, "dtype": np.float64, "most_steps": 5000}
PRIORS = {
    "default": ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "uneven": ((1.0, 0.4, 2.5), (0.3, 1.7, 0.6)),
    "no tilts": ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "pairs only": ((1.0, 1.0, 0.0), (1.0, 1.0, 1.0)),
    "main effects only": ((1.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


class Reference:
    """A dense posterior mean in float64 by enumerating all features."""

    def __init__(self, x, values, gradients, noise, prior):
        self.n = x.shape[1]
        rho, v = prior.relevance, prior.variance
        self.subsets = [s for k in (1, 2, 3) for s in combinations(range(self.n), k)]
        variances = [v * CONSTANT] + [v * prior.orders[len(s) - 1] * np.prod(rho[list(s)]) for s in self.subsets]
        # Component i's tilt: x_i times products of others, with the weight of the interaction that it would belong to.
        self.tilts = [
            (i, s)
            for i in range(self.n)
            for k in (0, 1, 2)
            for s in combinations([j for j in range(self.n) if j != i], k)
        ]
        variances += [
            v * prior.tilts[len(s)] * prior.orders[len(s)] * rho[i] * np.prod(rho[list(s)]) for i, s in self.tilts
        ]
        design = np.vstack([self.value_rows(x), self.gradient_rows(x)])
        spread = np.diag(np.array(variances))
        variance = np.concatenate([np.full(len(x), prior.value_noise * v), noise.ravel()])
        covariance = design @ spread @ design.T + np.diag(variance)
        self.mean = values.mean()
        target = np.concatenate([values - self.mean, gradients.ravel()])
        self.weights = spread @ design.T @ np.linalg.solve(covariance, target)
        self.table = {(): self.mean + self.weights[0], **dict(zip(self.subsets, self.weights[1:], strict=False))}

    def value_rows(self, x):
        columns = [np.ones(len(x))] + [x[:, list(s)].prod(1) for s in self.subsets]
        return np.stack(columns + [np.zeros(len(x))] * len(self.tilts), axis=1)

    def gradient_rows(self, x):
        """Rows in the order of a raveled ``(K, n)`` array."""
        out = np.zeros((len(x), self.n, 1 + len(self.subsets) + len(self.tilts)))
        for column, s in enumerate(self.subsets, start=1):
            for i in s:
                out[:, i, column] = x[:, [j for j in s if j != i]].prod(1)
        for column, (i, s) in enumerate(self.tilts, start=1 + len(self.subsets)):
            out[:, i, column] = x[:, i] * x[:, list(s)].prod(1)
        return out.reshape(len(x) * self.n, -1)

    def predict(self, x):
        return self.mean + self.value_rows(x) @ self.weights

    def predict_sign_gradients(self, x):
        return (self.gradient_rows(x) @ self.weights).reshape(len(x), self.n)


def _problem(n_masks, n, kind, seed):
    rng = np.random.default_rng(seed)
    x = signs(random_masks(n_masks, n, keep=rng.uniform(0.3, 0.8), seed=seed))
    orders, tilts = PRIORS[kind]
    relevance = rng.dirichlet(np.full(n, 1.5))
    prior = Prior(relevance, rng.uniform(0.5, 3), orders, tilts, value_noise=rng.uniform(0.01, 0.3))
    values = rng.normal(2, 1, n_masks)
    gradients = rng.normal(0, 1, (n_masks, n))
    noise = rng.uniform(0.05, 1, (n_masks, n)) * prior.variance * relevance
    return x, values, gradients, noise, prior


def _same(found, expected):
    expected = np.asarray(expected)
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("kind", PRIORS)
@pytest.mark.parametrize(("n_masks", "n"), [(1, 4), (5, 1), (6, 2), (9, 3), (12, 6), (25, 5), (4, 9)])
@pytest.mark.parametrize("seed", [0, 1])
def test_fast_path_is_the_obvious_one(kind, n_masks, n, seed):
    x, values, gradients, noise, prior = _problem(n_masks, n, kind, seed + 10 * n)
    fit = fit_anova(x, values, gradients, noise, prior, **EXACT)
    reference = Reference(x, values, gradients, noise, prior)
    elsewhere = signs(random_masks(30, n, seed=seed + 100))
    for rows in (x, elsewhere):
        _same(fit.predict(rows), reference.predict(rows))
        _same(fit.predict_sign_gradients(rows), reference.predict_sign_gradients(rows))
    _same(fit.constant(), reference.table[()])
    for order in (1, 2, 3):
        members = np.array(list(combinations(range(n), order)), dtype=np.int64).reshape(-1, order)
        _same(fit.coefficients(members), [reference.table[tuple(s)] for s in members.tolist()])
    rows = np.arange(n)[:: 2 if n > 4 else 1]
    expected = [[reference.table[tuple(sorted((i, j)))] if i != j else 0.0 for j in rows] for i in rows]
    _same(fit.pairs(rows), expected)


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_of_one_number_a_component(seed):
    x, values, gradients, noise, prior = _problem(10, 5, "default", seed)
    fit = fit_anova(x, values, gradients, noise[0], prior, **EXACT)
    reference = Reference(x, values, gradients, np.broadcast_to(noise[0], gradients.shape), prior)
    _same(fit.predict(x), reference.predict(x))


@pytest.mark.parametrize("seed", [0, 1])
def test_coefficients_sum_up_to_the_predictions(seed):
    x, values, gradients, noise, prior = _problem(12, 6, "uneven", seed)
    fit = fit_anova(x, values, gradients, noise, prior)
    rows = signs(all_masks(6))
    total = np.full(len(rows), fit.constant())
    for order in (1, 2, 3):
        members = np.array(list(combinations(range(6), order)))
        total += rows[:, members].prod(2) @ fit.coefficients(members)
    _same(fit.predict(rows), total)


@pytest.mark.parametrize("seed", [0, 1])
def test_default_tolerance_is_far_below_the_noise(seed):
    x, values, gradients, noise, prior = _problem(40, 12, "default", seed)
    rough = fit_anova(x, values, gradients, noise, prior).predict(x)
    exact = fit_anova(x, values, gradients, noise, prior, tolerance=1e-12, dtype=np.float64).predict(x)
    assert np.abs(rough - exact).max() < 0.1 * np.sqrt(prior.value_noise * prior.variance)


def test_repeated_masks_and_rows_in_another_order():
    x, values, gradients, noise, prior = _problem(10, 5, "default", 3)
    twice = np.concatenate([np.arange(10), np.arange(10)])
    fit = fit_anova(
        x[twice],
        values[twice],
        gradients[twice],
        noise[twice],
        prior,
        tolerance=1e-13,
        dtype=np.float64,
        most_steps=5000,
    )
    reference = Reference(x[twice], values[twice], gradients[twice], noise[twice], prior)
    _same(fit.predict(x), reference.predict(x))
    order = np.random.default_rng(0).permutation(10)
    one = fit_anova(x, values, gradients, noise, prior, **EXACT)
    other = fit_anova(
        x[order],
        values[order],
        gradients[order],
        noise[order],
        prior,
        tolerance=1e-13,
        dtype=np.float64,
        most_steps=5000,
    )
    _same(other.predict(x), one.predict(x))


def test_relevance_is_a_share_with_a_floor():
    gradients = np.random.default_rng(0).normal(size=(20, 7)) * np.array([0, 1, 2, 3, 0, 1e-9, 5])
    relevance = relevance_from_gradients(gradients)
    assert relevance.sum() == pytest.approx(1)
    assert (relevance > 0).all()
    assert np.array_equal(np.argsort(relevance, kind="stable"), np.argsort((gradients**2).mean(0), kind="stable"))
    np.testing.assert_allclose(relevance_from_gradients(np.zeros((3, 4))), 0.25)


@pytest.mark.parametrize("with_gradients", [True, False])
def test_all_triples_at_once_are_the_triples_one_by_one(with_gradients):
    masks = random_masks(20, 7, seed=2)
    rng = np.random.default_rng(2)
    x, values, gradients = signs(masks), rng.normal(size=20), rng.normal(size=(20, 7))
    prior = Prior(rng.dirichlet(np.ones(7)), 1.0, orders=(1.0, 0.5, 2.0))
    fit = fit_anova(x, values, gradients, np.full(7, 0.1), prior)
    if not with_gradients:
        fit = replace(fit, gradient_weights=None)
    members, found = fit.triples(np.array([1, 2, 4, 6]))
    assert members.tolist() == [[1, 2, 4], [1, 2, 6], [1, 4, 6], [2, 4, 6]]
    assert found == pytest.approx(fit.coefficients(members), abs=1e-12)


def test_cubes_leave_out_only_what_is_nothing_beside_the_largest():
    rng = np.random.default_rng(6)
    x, other = (np.where(rng.random((k, 500)) < 0.5, 1.0, -1.0) for k in (9, 7))
    rho = np.exp(4 * rng.normal(size=500))
    rho /= rho.sum()
    assert (rho < 1e-3 * rho.max()).sum() > 100  # many are left out
    np.testing.assert_allclose(cubes(x, other, rho), (x * rho**3) @ other.T, rtol=0, atol=500 * (1e-3 * rho.max()) ** 3)
