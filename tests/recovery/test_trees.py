"""The parities that are read out of boosted trees are the trees' own function, on every mask."""

import numpy as np
import pytest
from planted import all_masks, random_masks, random_table, values_of

from circuitspex.recovery.bases.polynomial import signs
from circuitspex.recovery.decoders.trees import (
    fit_trees,
    staged_predictions,
    tree_polynomial,
    tree_polynomial_one_by_one,
)


def _close(booster, n, rounds=None):
    x = signs(all_masks(n))
    function = tree_polynomial(booster, rounds)
    expected = booster.predict(x, num_iteration=rounds)
    np.testing.assert_allclose(function.predict(x), expected, rtol=0, atol=1e-9 * max(1, abs(expected).max()))
    return function


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("n", "n_masks"), [(1, 20), (3, 30), (8, 40), (10, 400)])
@pytest.mark.parametrize("seed", [0, 1])
def test_polynomial_is_the_trees_on_every_mask(depth, n, n_masks, seed):
    masks = random_masks(n_masks, n, seed=seed)
    noise = np.random.default_rng(seed).normal(size=n_masks)
    values = values_of(random_table(n, (4, 3, 2), seed=seed), masks) + noise
    booster = fit_trees(signs(masks), values, depth=depth, rounds=30, seed=seed)
    function = _close(booster, n)
    assert max(map(len, function.terms)) <= depth
    _close(booster, n, rounds=7)


def test_components_that_no_tree_splits_have_no_term():
    masks = random_masks(300, 10, seed=3)
    masks[:, [0, 4]] = [True, False]
    booster = fit_trees(signs(masks), values_of({(2,): 1.0, (2, 7): -2.0, (): 5.0}, masks), depth=3, rounds=40, seed=0)
    function = _close(booster, 10)
    assert not {0, 4} & {i for term in function.terms for i in term}


@pytest.mark.parametrize("n_masks", [1, 2, 3])
def test_hardly_any_masks(n_masks):
    masks = all_masks(2)[:n_masks]
    booster = fit_trees(signs(masks), np.arange(n_masks) + 3.0, depth=3, rounds=10, seed=0)
    _close(booster, 2)


def test_constant_values_give_a_constant():
    masks = random_masks(50, 6)
    booster = fit_trees(signs(masks), np.full(50, 2.5), depth=3, rounds=10, seed=0)
    assert _close(booster, 6).table() == pytest.approx({(): 2.5})


def test_staged_predictions_are_those_of_shorter_boosters():
    masks = random_masks(100, 6)
    booster = fit_trees(signs(masks), values_of(random_table(6, seed=4), masks), depth=3, rounds=20, seed=0)
    stages = staged_predictions(booster, signs(masks), [1, 5, 20])
    for column, rounds in enumerate((1, 5, 20)):
        np.testing.assert_allclose(stages[:, column], tree_polynomial(booster, rounds).predict(signs(masks)), atol=1e-9)


@pytest.mark.parametrize(("depth", "n"), [(1, 3), (2, 9), (3, 40), (5, 12), (6, 30)])
def test_the_quick_expansion_is_the_one_leaf_after_leaf(depth, n):
    rng = np.random.default_rng([depth, n])
    x = np.where(rng.random((150, n)) < 0.6, 1.0, -1.0)
    booster = fit_trees(x, x[:, 0] * x[:, 1] + x[:, 2] + 0.5 * rng.normal(size=150), depth=depth, rounds=30, seed=1)
    for rounds in (None, 7):
        quick, slow = (f(booster, rounds).table() for f in (tree_polynomial, tree_polynomial_one_by_one))
        # Sums in another order: rounding of doubles only.
        assert all(abs(quick.get(term, 0) - slow.get(term, 0)) < 1e-12 for term in {*quick, *slow})


def test_staged_predictions_are_those_of_so_many_rounds():
    rng = np.random.default_rng(4)
    x = np.where(rng.random((80, 6)) < 0.5, 1.0, -1.0)
    booster = fit_trees(x, x[:, 0] + x[:, 1] * x[:, 2], depth=3, rounds=20, seed=0)
    found = staged_predictions(booster, x, [5, 10, 20])
    for column, rounds in enumerate((5, 10, 20)):
        assert found[:, column] == pytest.approx(booster.predict(x, num_iteration=rounds), abs=1e-12)
