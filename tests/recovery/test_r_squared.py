"""R² and its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from circuitspex.errors import UserError
from circuitspex.recovery import Score, r_squared, score
from circuitspex.recovery.scoring.r2 import cross_validated_score


@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([1e-9, 1.0, 1e6]))
@settings(max_examples=50, deadline=None)
def test_against_brute_force(seed, n, scale):
    rng = np.random.default_rng(seed)
    values, predicted = rng.normal(size=(2, n)) * scale
    mean = sum(values) / n
    error = sum((v - p) ** 2 for v, p in zip(values, predicted, strict=True))
    expected = 1 - error / sum((v - mean) ** 2 for v in values)
    assert r_squared(values, predicted) == pytest.approx(expected)
    found = score(values, predicted)
    assert found.r2 == pytest.approx(expected)
    assert found.low <= found.r2 <= found.high <= 1
    assert found.n_masks == n


def test_the_interval_is_that_of_the_jackknife():
    """The logarithm of the missed share, each mask left out in turn: slow and obvious."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=40)
    predicted = values + 0.5 * rng.standard_t(5, size=40)
    left_out = np.log([1 - r_squared(np.delete(values, i), np.delete(predicted, i)) for i in range(40)])
    half = student.ppf(0.975, 39) * (39 / 40 * ((left_out - left_out.mean()) ** 2).sum()) ** 0.5
    found = score(values, predicted)
    missed = 1 - found.r2
    assert (found.low, found.high) == pytest.approx((1 - missed * np.exp(half), 1 - missed * np.exp(-half)))


def test_one_wrong_mask_among_many_leaves_a_wide_interval():
    values = np.random.default_rng(6).normal(size=40)
    predicted = values.copy()
    predicted[7] += 1.0
    found = score(values, predicted)
    assert found.low < found.r2 < found.high < 1


def test_perfect_and_mean_predictions():
    values = np.arange(10.0)
    assert score(values, values) == Score(1.0, 1.0, 1.0, 10)
    assert r_squared(values, np.full(10, values.mean())) == pytest.approx(0)


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0, 3.0], [0.0, 0.0], [0.1 + 0.2, 0.3], [1e9, 1e9 + 1e-7]])
def test_constant_values_have_no_r2(values):
    values = np.array(values)
    found = score(values, values + 1)
    assert found == Score(None, None, None, len(values))
    assert ("undefined" if len(values) else "not measured") in str(found)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_resamples_of_one_value_are_left_out(n):
    # Their spread is zero but for rounding; dividing by it gave ends of -1e31.
    values = np.array([0.1, 0.3, 0.7, 0.9])[:n]
    assert score(values, values + 0.05).low > -100


@pytest.mark.parametrize("n_masks", [24, 50, 400])
def test_the_interval_holds_the_truth_as_often_as_it_says(n_masks):
    rng = np.random.default_rng(1)
    covered, widths = 0, []
    for _ in range(600):
        values = rng.normal(size=n_masks)
        found = score(values, values + 0.5 * rng.normal(size=n_masks))
        covered += found.low <= 0.75 <= found.high
        widths.append(found.high - found.low)
    assert 0.925 < covered / 600 < 0.975
    assert 1.8 < np.mean(widths) * n_masks**0.5 < 3  # 1.96 of many: the two mean squares vary by 2 / K each


def test_text_has_the_interval():
    assert str(Score(0.9, 0.8, 0.95, 20)) == "R² 0.900 [0.800, 0.950] on 20 masks"


@pytest.mark.parametrize(("values", "predicted"), [([1, np.nan], [1, 2]), ([1, 2], [np.inf, 2]), ([1, 2], [1, 2, 3])])
def test_what_is_no_number_or_not_as_many_is_refused(values, predicted):
    with pytest.raises(UserError):
        score(np.array(values), np.array(predicted))


def test_the_cross_validated_interval_is_wider_and_holds_the_estimate():
    rng = np.random.default_rng(0)
    values = rng.normal(size=50)
    predicted = values + 0.3 * rng.normal(size=50)
    plain, wide = score(values, predicted), cross_validated_score(values, predicted)
    assert plain.r2 == wide.r2
    assert wide.low < plain.low < plain.r2 < plain.high < wide.high <= 1
    many, predictions = np.tile(values, 100), np.tile(predicted, 100)
    narrow, less = score(many, predictions), cross_validated_score(many, predictions)
    assert less.high - less.low < 1.8 * (narrow.high - narrow.low)
    assert cross_validated_score(np.ones(5), np.ones(5)) == Score(None, None, None, 5)
