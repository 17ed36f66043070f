"""Sums of parities: their values, their transforms, and the effects read from them, against brute force."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import all_masks, random_table, value_of

from circuitspex.recovery.bases import polynomial
from circuitspex.recovery.bases.polynomial import (
    Polynomial,
    combine,
    fourier_to_mobius,
    mean_differences,
    mobius_to_fourier,
    n_terms,
    products,
    signs,
    spread,
)


@st.composite
def tables(draw, largest=6):
    n = draw(st.integers(1, largest))
    subsets = [s for k in range(n + 1) for s in combinations(range(n), k)]
    chosen = draw(st.lists(st.sampled_from(subsets), unique=True, max_size=12))
    # Multiples of 1/8: sums and the transforms' powers of two are then exact, so round trips must be as well.
    return n, {term: draw(st.integers(-80, 80)) / 8 for term in chosen}


def _nonzero(table):
    return {term: value for term, value in table.items() if value != 0}


def test_products_are_parities():
    x = signs(all_masks(4))
    terms = [(2,), (), (0, 3), (0, 1, 2, 3), (1,)]
    expected = np.array([[np.prod(row[list(term)]) for term in terms] for row in x])
    assert np.array_equal(products(x, terms), expected)
    assert products(x, []).shape == (16, 0)


@given(tables())
@settings(max_examples=60, deadline=None)
def test_predict_is_the_sum_of_parities_on_every_mask(case):
    n, table = case
    masks = all_masks(n)
    expected = [value_of(table, mask) for mask in masks]
    np.testing.assert_allclose(Polynomial.of(table).predict(signs(masks)), expected, atol=1e-9)


@pytest.mark.parametrize("chunk", [1, 7, 100, 10**6])
def test_predictions_do_not_depend_on_the_chunks(monkeypatch, chunk):
    function = Polynomial.of(random_table(9, (9, 20, 30), seed=2))
    x = signs(np.random.default_rng(0).random((23, 9)) < 0.5)
    expected = products(x, function.terms) @ function.coefficients
    monkeypatch.setattr(polynomial, "_CHUNK", chunk)
    np.testing.assert_allclose(function.predict(x), expected, atol=1e-12)
    assert function.predict(x[:0]).shape == (0,)


def test_of_sorts_and_drops_zeros():
    function = Polynomial.of({(1, 2): 3.0, (2,): 0.0, (): 1.0, (0,): -2.0})
    assert function.terms == ((), (0,), (1, 2))
    assert function.table() == {(): 1.0, (0,): -2.0, (1, 2): 3.0}
    assert Polynomial.affine(1.5, np.array([0.0, 2.0])).table() == {(): 1.5, (1,): 2.0}


@given(tables())
@settings(max_examples=60, deadline=None)
def test_variance_is_that_over_all_masks(case):
    n, table = case
    function = Polynomial.of(table)
    assert function.variance() == pytest.approx(function.predict(signs(all_masks(n))).var(), abs=1e-9)


@given(tables(), tables(), st.integers(-4, 4))
@settings(max_examples=40, deadline=None)
def test_combine_adds_functions(one, other, weight):
    n = max(one[0], other[0])
    x = signs(all_masks(n))
    mixed = combine([(weight, Polynomial.of(one[1])), (1.0, Polynomial.of(other[1]))])
    expected = weight * Polynomial.of(one[1]).predict(x) + Polynomial.of(other[1]).predict(x)
    np.testing.assert_allclose(mixed.predict(x), expected, atol=1e-9)


@given(tables())
@settings(max_examples=80, deadline=None)
def test_bases_round_trip_exactly(case):
    _, table = case
    assert _nonzero(mobius_to_fourier(fourier_to_mobius(table))) == _nonzero(table)
    assert _nonzero(fourier_to_mobius(mobius_to_fourier(table))) == _nonzero(table)


@given(tables())
@settings(max_examples=60, deadline=None)
def test_mobius_coefficients_are_the_inclusion_exclusion_sums(case):
    n, table = case
    found = fourier_to_mobius(table)
    value = {frozenset(np.flatnonzero(mask).tolist()): value_of(table, mask) for mask in all_masks(n)}
    for kept in value:
        subsets = (s for k in range(len(kept) + 1) for s in combinations(sorted(kept), k))
        by_definition = sum((-1) ** (len(kept) - len(s)) * value[frozenset(s)] for s in subsets)
        assert found.get(tuple(sorted(kept)), 0.0) == pytest.approx(by_definition, abs=1e-9)


@given(tables())
@settings(max_examples=60, deadline=None)
def test_fourier_coefficients_are_the_projections(case):
    n, table = case
    masks = all_masks(n)
    values = np.array([sum(c * mask[list(term)].all() for term, c in table.items()) for mask in masks])
    found = mobius_to_fourier(table)
    for size in range(n + 1):
        for term in combinations(range(n), size):
            projection = (values * signs(masks)[:, list(term)].prod(1)).mean()
            assert found.get(term, 0.0) == pytest.approx(projection, abs=1e-9)


@given(tables(5), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]))
@settings(max_examples=80, deadline=None)
def test_mean_differences_average_over_contexts(case, keep):
    n, table = case
    for term, effect in mean_differences(table, keep).items():
        others = [i for i in range(n) if i not in term]
        total = 0.0
        for context in all_masks(len(others)):
            weight = np.prod(np.where(context, keep, 1 - keep))
            for inside in all_masks(len(term)):
                mask = np.zeros(n, dtype=bool)
                mask[others], mask[list(term)] = context, inside
                total += weight * (-1) ** (len(term) - inside.sum()) * value_of(table, mask)
        assert effect == pytest.approx(total, abs=1e-9)


@given(tables(5), st.sampled_from([(0.0, 1.0), (0.8, 0.6), (-0.5, 0.25)]))
@settings(max_examples=40, deadline=None)
def test_recentred_products_spread_to_the_same_function(case, centring):
    n, table = case
    centre, scale = centring
    x = signs(all_masks(n))
    expected = sum(c * ((x[:, list(term)] - centre) / scale).prod(1) for term, c in table.items())
    found = spread(table, lambda t, s: (-centre) ** (t - s) / scale**t)
    np.testing.assert_allclose(Polynomial.of(found).predict(x), expected * np.ones(len(x)), atol=1e-6)


def test_n_terms_counts_subsets():
    assert [n_terms(5, k) for k in range(6)] == [1, 6, 16, 26, 31, 32]
