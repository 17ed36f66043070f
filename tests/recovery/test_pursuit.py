"""Pursuit finds planted conjunctions and parities, and nothing in noise."""

import numpy as np
import pytest
from planted import all_masks, r2, random_masks

from circuitspex.recovery.decoders.pursuit import Feature, _products_of_pairs, _top, fit_pursuit
from circuitspex.recovery.samples import Samples


def conjunctions(n, count, seed):
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        members = np.sort(rng.choice(n, rng.integers(1, 5), replace=False))
        out.append((members, rng.choice([True, False], len(members)), rng.uniform(0.5, 1.5)))
    return out


def values_of_conjunctions(parts, masks):
    return sum(weight * (masks[:, members] == wanted).all(1) for members, wanted, weight in parts)


def fit(masks, values, **options):
    return fit_pursuit(Samples.check(masks, values, None, 0), **options)


@pytest.mark.parametrize("feature", [Feature((0, 2), (1, -1)), Feature((1,), (-1,)), Feature((0, 1, 3), None)])
def test_a_feature_and_its_parities_are_the_same_function(feature):
    masks = all_masks(4)
    x = np.where(masks, 1.0, -1.0)
    expected = []
    for mask in masks:
        signs = np.where(mask, 1, -1)[list(feature.members)]
        expected.append(signs.prod() if feature.signs is None else float(tuple(signs) == feature.signs))
    assert feature.column(x.astype(np.float32)) == pytest.approx(expected)
    assert feature.polynomial().predict(x) == pytest.approx(expected)


@pytest.mark.some(3)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("keep", [0.5, 0.7])
def test_planted_conjunctions_of_literals_are_found(seed, keep):
    parts = conjunctions(40, 6, seed)
    masks, fresh = random_masks(800 if keep != 0.5 else 400, 40, keep, seed), random_masks(1000, 40, keep, seed + 100)
    found = fit(masks, values_of_conjunctions(parts, masks))
    predicted = found.function.predict(np.where(fresh, 1.0, -1.0))
    assert r2(values_of_conjunctions(parts, fresh), predicted) > 0.97


def test_planted_parities_without_main_effects_are_found():
    rng = np.random.default_rng(0)
    sets = [tuple(rng.choice(30, size, replace=False)) for size in (2, 3, 4, 3)]
    masks, fresh = random_masks(300, 30, seed=1), random_masks(500, 30, seed=2)

    def values(of):
        return sum(np.where(of[:, list(s)], 1.0, -1.0).prod(1) for s in sets)

    found = fit(masks, values(masks))
    assert {tuple(sorted(map(int, s))) for s in sets} <= set(found.function.terms)
    assert r2(values(fresh), found.function.predict(np.where(fresh, 1.0, -1.0))) > 0.999


@pytest.mark.parametrize("seed", range(5))
def test_in_noise_next_to_nothing_is_found(seed):
    masks = random_masks(200, 25, seed=seed)
    found = fit(masks, np.random.default_rng(seed + 50).normal(size=200))
    assert sum(1 for term in found.function.terms if term) <= 31  # at most one conjunction of five


def test_orders_above_the_limit_are_left_out():
    masks = random_masks(200, 10, seed=1)
    values = masks[:, 0] * 1.0 * masks[:, 1] * masks[:, 2]
    found = fit(masks, values, max_order=2)
    assert max(len(term) for term in found.function.terms) <= 2


@pytest.mark.parametrize("n", [2, 255, 257, 600])
def test_products_of_pairs_are_there_above_the_diagonal(n):
    rng = np.random.default_rng(n)
    x = np.where(rng.random((20, n)) < 0.5, 1, -1).astype(np.float32)
    r = rng.normal(size=20).astype(np.float32)
    above = np.triu_indices(n, 1)
    np.testing.assert_allclose(_products_of_pairs(x, r)[above], ((x * r[:, None]).T @ x)[above], atol=1e-4)


@pytest.mark.parametrize("length", [3, 500, 20_000, 100_003])
@pytest.mark.parametrize("count", [1, 5, 150])
@pytest.mark.parametrize("rounded", [True, False])
def test_top_finds_the_largest_numbers(length, count, rounded):
    numbers = np.random.default_rng(length).normal(size=length)
    numbers = numbers.round(1) if rounded else numbers  # with many that are equal
    numbers[-1] = 9.0  # in the part after the last whole block
    found = _top(numbers, count)
    assert len(set(found.tolist())) == min(count, length)
    np.testing.assert_array_equal(numbers[found], np.sort(numbers)[::-1][:count])
