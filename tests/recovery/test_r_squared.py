"""R² and its bootstrap interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    found = score(values, predicted, n_resamples=50)
    assert found.r2 == pytest.approx(expected)
    assert found.low <= found.r2 <= found.high <= 1
    assert found.n_masks == n


def test_interval_against_resampling_one_draw_at_a_time():
    rng = np.random.default_rng(0)
    values = rng.normal(size=30)
    predicted = values + 0.5 * rng.normal(size=30)
    picks = np.random.default_rng(7).integers(0, 30, (200, 30))
    draws = [r_squared(values[pick], predicted[pick]) for pick in picks]
    found = score(values, predicted, seed=7, n_resamples=200)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))


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


def test_the_interval_covers_and_narrows():
    rng = np.random.default_rng(1)
    widths, covered = [], 0
    for n_masks in (50, 800):
        for _ in range(40):
            values = rng.normal(size=n_masks)
            found = score(values, values + 0.5 * rng.normal(size=n_masks), n_resamples=200)
            covered += found.low <= 0.75 <= found.high
        widths.append(found.high - found.low)
    assert covered >= 64  # of 80
    assert widths[1] < widths[0] / 2


def test_same_seed_same_interval():
    values, predicted = np.random.default_rng(2).normal(size=(2, 50))
    assert score(values, predicted, seed=3) == score(values, predicted, seed=3)
    assert score(values, predicted, seed=3) != score(values, predicted, seed=4)


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
