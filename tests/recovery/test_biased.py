"""The Fourier basis of masks with another density, against its definition on every mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import all_masks, random_table, values_of

from circuitspex.errors import UserError
from circuitspex.recovery.bases.polynomial import Polynomial, fourier_to_biased, spread

KEEPS = [0.01, 0.1, 0.3, 0.5, 0.75, 0.9, 0.99]
# Doubles, sums of at most 2^7 numbers near 1; at a density of 1 % (and 99 %) a triple of phi is up to 10^3 in size.
CLOSE = 1e-9


def basis(masks, term, keep):
    """phi_S at each mask, by its definition."""
    return ((masks[:, list(term)] - keep) / np.sqrt(keep * (1 - keep))).prod(1)


def biased_to_fourier(table, keep):
    """Coefficients of phi_S to those of parities: products of (x_i - centre) / scale, multiplied out."""
    centre, scale = 2 * keep - 1, 2 * np.sqrt(keep * (1 - keep))
    return spread(table, lambda t, s: (-centre) ** (t - s) / scale**t)


def variance(table, keep):
    """The sum of squares of all coefficients of phi_S but the constant (Parseval)."""
    return sum(value**2 for term, value in fourier_to_biased(table, keep).items() if term)


def chances(masks, keep):
    return np.where(masks, keep, 1 - keep).prod(1)


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("seed", range(3))
def test_they_are_the_same_function(keep, seed):
    table = random_table(7, (5, 6, 4), seed=seed)
    masks = all_masks(7)
    found = fourier_to_biased(table, keep)
    rebuilt = sum(value * basis(masks, term, keep) for term, value in found.items())
    np.testing.assert_allclose(rebuilt, values_of(table, masks), atol=CLOSE)


@pytest.mark.parametrize("keep", KEEPS)
def test_coefficients_are_projections(keep):
    table = random_table(6, (4, 5, 3), seed=5)
    masks = all_masks(6)
    weighted = chances(masks, keep) * values_of(table, masks)
    found = fourier_to_biased(table, keep)
    for row in masks:
        term = tuple(np.flatnonzero(row).tolist())
        assert found.get(term, 0.0) == pytest.approx(float(weighted @ basis(masks, term, keep)), abs=CLOSE)


@pytest.mark.parametrize("keep", KEEPS)
def test_the_other_direction_is_the_same_function_too(keep):
    table = random_table(6, (4, 5, 3), seed=6)
    masks = all_masks(6)
    expected = sum(value * basis(masks, term, keep) for term, value in table.items())
    found = Polynomial.of(biased_to_fourier(table, keep)).predict(np.where(masks, 1.0, -1.0))
    np.testing.assert_allclose(found, expected, atol=CLOSE * np.abs(expected).max())


@given(st.floats(0.02, 0.98), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_they_round_trip(keep, seed):
    table = random_table(12, (6, 5, 3), seed=seed)
    there = biased_to_fourier(fourier_to_biased(table, keep), keep)
    for back in (there, fourier_to_biased(biased_to_fourier(table, keep), keep)):
        # Undoing a triple divides by sd³, about 1/400 at the ends of these densities.
        for term in {*table, *back}:
            assert back.get(term, 0.0) == pytest.approx(table.get(term, 0.0), abs=1e-8)


def test_at_one_half_they_are_the_parities_themselves():
    table = random_table(30, (9, 9, 9), seed=1)
    assert fourier_to_biased(table, 0.5) == table
    assert biased_to_fourier(table, 0.5) == table
    assert variance(table, 0.5) == pytest.approx(Polynomial.of(table).variance())
    assert fourier_to_biased({}, 0.3) == biased_to_fourier({}, 0.3) == {}


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("seed", range(3))
def test_variance_is_that_over_all_masks(keep, seed):
    table = random_table(8, (6, 6, 4), seed=seed)
    masks = all_masks(8)
    values, weights = values_of(table, masks), chances(masks, keep)
    mean = weights @ values
    assert fourier_to_biased(table, keep)[()] == pytest.approx(mean, abs=CLOSE)
    assert variance(table, keep) == pytest.approx(float(weights @ (values - mean) ** 2), abs=CLOSE)
    assert variance({(): 3.0}, keep) == 0


@pytest.mark.timeout(20)
def test_a_thousand_components_take_no_time():
    rng = np.random.default_rng(0)
    table = {tuple(sorted(rng.choice(1000, 4, replace=False).tolist())): float(rng.normal()) for _ in range(500)}
    back = biased_to_fourier(fourier_to_biased(table, 0.2), 0.2)
    assert all(back[term] == pytest.approx(table.get(term, 0.0), abs=1e-9) for term in back)
    assert variance(table, 0.2) > 0


@pytest.mark.parametrize("keep", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan")])
def test_densities_without_a_basis_are_one_line(keep):
    with pytest.raises(UserError, match="between 0 and 1") as caught:
        fourier_to_biased({(0,): 1.0}, keep)
    assert len(str(caught.value).splitlines()) == 1
