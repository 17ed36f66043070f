"""Sparse functions that explain every value are taken whole; what chance could do is not."""

from __future__ import annotations

import numpy as np
import pytest
from planted import gradients_of, r2, random_masks, values_of

from circuitspex.recovery import decode
from circuitspex.recovery.decoders.pursuit import fit_pursuit, pursued
from circuitspex.recovery.decoders.solved import fit_solved, may_be_solved
from circuitspex.recovery.samples import Samples


def parities(n, count, seed, most=4):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, most + 1, count)
    return {tuple(sorted(rng.choice(n, size, replace=False).tolist())): float(rng.normal()) for size in sizes}


def solved(masks, values, **options):
    samples = Samples.check(masks, values, None, 0)
    return fit_solved(samples, pursued(samples, **options)) if may_be_solved(samples) else None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("given", ["values", "gradients"])
def test_ten_parities_of_thirty_two_components_are_found_from_hundred_masks(seed, given):
    """Of 80 masks, which the fits without a fold have, they are not: out of fold the function looked half as good."""
    table = parities(32, 10, seed)
    masks, fresh = random_masks(130, 32, seed=seed + 10), random_masks(500, 32, seed=seed + 20)
    gradients = gradients_of(table, masks) if given == "gradients" else None
    found = decode(masks, values_of(table, masks), gradients=gradients)
    assert r2(values_of(table, fresh), found.predict(fresh)) > 0.9999
    assert found.cross_validated.r2 == pytest.approx(1, abs=1e-4)
    assert {term for term, c in zip(found.terms, found.coefficients, strict=True) if term and abs(c) > 1e-5} == set(
        table
    )


def test_conjunctions_are_found_too():
    masks, fresh = random_masks(120, 20, seed=1), random_masks(500, 20, seed=2)

    def game(m):
        return 2.0 * (m[:, 0] & m[:, 3]) - 1.5 * (m[:, 5] & ~m[:, 7] & m[:, 9]) + 0.25 * m[:, 4]

    found = solved(masks, game(masks))
    assert found is not None
    np.testing.assert_allclose(found.function.predict(2.0 * fresh - 1), game(fresh), atol=1e-6)


@pytest.mark.parametrize("n_masks", [10, 20, 40])
@pytest.mark.parametrize("n_levels", [2, 3])
def test_coins_are_not_explained(n_masks, n_levels):
    """Of thousands of conjunctions one agrees with ten coins by chance; that says nothing of the eleventh."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        masks, values = random_masks(n_masks, 32, seed=seed), rng.integers(0, n_levels, n_masks).astype(float)
        assert solved(masks, values) is None


@pytest.mark.parametrize("n_masks", [10, 30, 100])
def test_noise_is_not_explained(n_masks):
    for seed in range(5):
        values = np.random.default_rng(seed).normal(size=n_masks)
        assert solved(random_masks(n_masks, 24, seed=seed), values) is None


def test_a_little_noise_is_left_to_the_other_decoders():
    table = parities(16, 4, 0, most=2)
    masks = random_masks(100, 16, seed=3)
    values = values_of(table, masks)
    assert solved(masks, values) is not None
    assert solved(masks, values + 0.01 * values.std() * np.random.default_rng(0).normal(size=100)) is None
    assert solved(masks, np.full(100, 2.0)) is None


def test_repeated_masks_count_once():
    masks, values = random_masks(10, 32, seed=5), np.arange(10) % 2 * 1.0
    assert solved(np.repeat(masks, 20, axis=0), np.repeat(values, 20)) is None


def test_the_largest_order_is_kept():
    table = {(0,): 1.0, (1, 2, 3): 1.0}
    masks = random_masks(100, 8, seed=6)
    found = decode(masks, values_of(table, masks), max_order=2)
    assert max(map(len, found.terms)) <= 2
    assert solved(masks, values_of({(0,): 1.0}, masks), max_order=1) is not None


def test_masks_that_keep_most_do_not_tell_features_apart():
    """Where hardly any mask ablates both, one of them and both look the same."""
    table = parities(12, 6, 1)
    for keep, is_solved in ((0.5, True), (0.8, False), (0.2, False)):
        masks = random_masks(200, 12, seed=7, keep=keep)
        assert (solved(masks, values_of(table, masks)) is not None) == is_solved


@pytest.mark.parametrize("max_order", [None, 2, 3])
def test_features_that_are_known_already_change_nothing_in_the_pursuit(max_order):
    masks = random_masks(90, 24, seed=7)
    rng = np.random.default_rng(8)
    samples = Samples.check(masks, values_of(parities(24, 12, 9), masks) + rng.normal(size=90), None, 0)
    given = fit_pursuit(samples, max_order=max_order, features=pursued(samples, max_order))
    alone = fit_pursuit(samples, max_order=max_order)
    assert np.array_equal(given.out_of_fold, alone.out_of_fold)
    assert np.array_equal(given.function.predict(samples.x), alone.function.predict(samples.x))
