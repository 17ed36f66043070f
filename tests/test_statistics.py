"""The statistics module against closed forms, published numbers, and simulated data with a known truth."""

from __future__ import annotations

from itertools import islice
from math import inf

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from circuitspex import statistics
from circuitspex.errors import UserError
from circuitspex.statistics import Estimate


def crossed(rng, n_rows, n_columns, row_spread=1.0, column_spread=1.0, noise=1.0):
    """Numbers of mean 0 whose rows and columns each have an effect of their own."""
    rows, columns = rng.normal(size=(n_rows, 1)), rng.normal(size=(1, n_columns))
    return row_spread * rows + column_spread * columns + noise * rng.normal(size=(n_rows, n_columns))


@pytest.mark.parametrize("shape", [(9, 1), (1, 9)])
def test_along_one_axis_it_is_the_t_test(shape):
    numbers = np.random.default_rng(0).normal(0.5, 1, size=shape)
    peer = ttest_1samp(numbers.ravel(), 0)
    found = statistics.estimate(numbers, confidence=0.9)
    interval = peer.confidence_interval(0.9)
    assert (found.value, found.low, found.high) == pytest.approx((numbers.mean(), interval.low, interval.high))
    mean, error, freedom = statistics.moments(numbers)
    assert (freedom, statistics.p_value(mean, error, freedom)) == pytest.approx((8, peer.pvalue))
    above = ttest_1samp(numbers.ravel(), 0.2, alternative="greater").pvalue
    below = 1 - ttest_1samp(numbers.ravel(), -0.2, alternative="less").pvalue
    assert statistics.p_value(mean, error, freedom, least=0.2) == pytest.approx(above + below)
    assert statistics.p_value(mean, error, freedom, sign=-1) == pytest.approx(1 - peer.pvalue / 2)


def test_moments_of_a_crossed_design_by_hand():
    mean, error, freedom = statistics.moments(np.array([[1.0, 3.0], [2.0, 6.0], [3.0, 9.0]]))
    # Variances of (2, 4, 6) and (2, 6), each divided by how many there are; what is left is (1, 0, -1), (-1, 0, 1).
    rows, columns, noise = 4.0 / 3, 8.0 / 2, (4.0 / 2) / 6
    assert mean == 4.0
    assert error == pytest.approx((rows + columns - noise) ** 0.5)
    assert freedom == pytest.approx((rows + columns - noise) ** 2 / (rows**2 / 2 + columns**2 + noise**2 / 2))
    assert statistics.moments(np.full((3, 2), 7.0)) == (7.0, 0.0, 1.0)
    with pytest.raises(UserError, match="two contexts or two prompts"):
        statistics.moments(np.ones((1, 1)))


def test_a_margin_that_is_only_noise_is_pooled_with_it():
    numbers = np.array([[1.0, 5.0], [5.0, 1.0], [2.0, 9.0]])
    rest = numbers - numbers.mean(1, keepdims=True) - numbers.mean(0) + numbers.mean()
    squares, noise = (rest**2).sum(), (rest**2).sum() / 2 / 6
    rows, columns = numbers.mean(1).var(ddof=1) / 3, numbers.mean(0).var(ddof=1) / 2
    assert max(rows, columns) < noise
    mean, error, freedom = statistics.moments(numbers)
    pooled = (squares + 6 * 2 * rows + 6 * columns) / 5  # all squares over all degrees of freedom
    assert (mean, error**2, freedom) == pytest.approx((numbers.mean(), pooled / 6, 5))
    assert pooled == pytest.approx(numbers.var(ddof=1))


def test_the_variance_is_that_of_the_mean():
    """Over many draws, where rows, columns and cells all vary; the two margins alone would count the cells twice."""
    rng = np.random.default_rng(10)
    draws = [crossed(rng, 8, 6, 0.5, 0.5) for _ in range(4000)]
    true = 0.25 / 8 + 0.25 / 6 + 1 / 48
    assert np.var([each.mean() for each in draws]) == pytest.approx(true, rel=0.08)
    assert np.mean([statistics.moments(each)[1] ** 2 for each in draws]) == pytest.approx(true, rel=0.08)
    margins = [each.mean(1).var(ddof=1) / 8 + each.mean(0).var(ddof=1) / 6 for each in draws]
    assert np.mean(margins) > 1.15 * true


def test_numbers_without_error():
    assert statistics.t_interval(2.0, 0.0, 1.0) == Estimate(2.0, 2.0, 2.0)
    assert statistics.p_value(2.0, 0.0, 1.0, least=1.0) == 0.0
    assert statistics.p_value(2.0, 0.0, 1.0, least=2.0) == 1.0
    assert statistics.p_value(-2.0, 0.0, 1.0, sign=1.0) == 1.0


def test_one_prompt_says_nothing_of_others():
    alone = np.array([1.5])
    assert statistics.over_prompts(alone) == Estimate(1.5, -inf, inf)
    assert statistics.over_prompts(alone, one_prompt=0.0) == Estimate(1.5, 1.5, 1.5)
    several = np.array([1.5, 2.5, 0.0])
    assert statistics.over_prompts(several) == statistics.over_prompts(several, one_prompt=0.0)
    assert statistics.over_prompts(several) == statistics.estimate(several[None])


@pytest.mark.parametrize(("rows", "columns"), [(12, 8), (16, 16), (32, 4)])
@pytest.mark.parametrize(("row_spread", "column_spread"), [(1.0, 1.0), (0.2, 1.0), (0.3, 0.3), (0.0, 0.0)])
def test_t_intervals_hold_the_mean_about_as_often_as_they_say(rows, columns, row_spread, column_spread):
    rng = np.random.default_rng(1)
    held = [
        found.low <= 0 <= found.high
        for found in (statistics.estimate(crossed(rng, rows, columns, row_spread, column_spread)) for _ in range(1500))
    ]
    # Of noise alone, the margins that happen to vary more are kept: a little too wide. With four columns a margin that
    # is more than noise is often not told from it: a little too narrow.
    assert (0.92 if columns == 4 else 0.93) < np.mean(held) < (0.98 if row_spread == 0 else 0.965)


@pytest.mark.parametrize("least", [0.0, 0.05, 1.0])
def test_no_more_false_discoveries_of_a_minimum_effect_than_allowed(least):
    """At the boundary of what counts as nothing, on either side, one in twenty is called something."""
    rng = np.random.default_rng(11)
    for truth in (-least, least):
        p = [statistics.p_value(*statistics.moments(rng.normal(truth, 1, (1, 20))), least=least) for _ in range(3000)]
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_q_values_of_benjamini_and_hochberg_1995():
    # The 15 p values of their example (Neuhaus et al. 1992): at a rate of 0.05, four are discoveries.
    p = [1e-4, 4e-4, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719, 0.6528, 0.759, 1.0]
    order = np.random.default_rng(0).permutation(15)
    q = np.array(statistics.q_values(np.array(p)[order].tolist()))[np.argsort(order)]
    assert np.flatnonzero(q <= 0.05).tolist() == [0, 1, 2, 3]
    assert q[:5] == pytest.approx([0.0015, 0.003, 0.0095, 0.035625, 0.0603])
    assert q[-1] == 1.0


def test_q_values_by_their_definition():
    p = np.random.default_rng(2).random(30) ** 3
    ranked = np.sort(p)
    wanted = [min(ranked[k] * 30 / (k + 1) for k in range(30) if ranked[k] >= each) for each in p]
    np.testing.assert_allclose(statistics.q_values(p.tolist()), np.minimum(wanted, 1), rtol=1e-14)
    assert statistics.q_values([]) == []
    assert statistics.q_values([0.3]) == [0.3]


@pytest.mark.parametrize("wrong", [float("nan"), 1.5, -0.1, inf])
def test_what_is_no_p_value_is_refused(wrong):
    with pytest.raises(UserError, match="between 0 and 1"):
        statistics.q_values([0.5, wrong])


def test_discoveries_are_false_no_more_often_than_the_rate_says():
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(400):
        effects = np.repeat([0.0, 1.5], [15, 5])
        p = ttest_1samp(effects + rng.normal(size=(10, 20)), 0).pvalue.tolist()
        found = np.array(statistics.q_values(p)) <= 0.1
        shares.append(found[:15].sum() / max(1, found.sum()))
    assert 0.05 < np.mean(shares) < 0.1


def test_the_bootstrap_varies_as_much_as_the_mean_does():
    values = np.random.default_rng(4).normal(size=40)
    rows = statistics.bootstrap_rows(40, 4000, np.random.default_rng(0))
    assert rows.shape == (4000, 40)
    assert (rows.min(), rows.max()) == (0, 39)
    assert values[rows].mean(1).std() == pytest.approx(values.std() / 40**0.5, rel=0.05)


def test_the_pigeonhole_bootstrap_varies_as_its_moments_do():
    numbers = crossed(np.random.default_rng(5), 40, 30, noise=0.1)
    draws = statistics.pigeonhole_draws((40, 30), np.random.default_rng(0))
    means = [numbers[np.ix_(rows, columns)].mean() for rows, columns in islice(draws, 3000)]
    assert np.std(means) == pytest.approx(statistics.moments(numbers)[1], rel=0.05)


def test_a_quantile_interval_holds_its_number_and_leaves_out_what_is_not_finite():
    draws = np.arange(101) / 100
    assert statistics.quantile_interval(0.5, draws) == Estimate(0.5, 0.025, 0.975)
    assert statistics.quantile_interval(-1.0, draws) == Estimate(-1.0, -1.0, 0.975)
    assert statistics.quantile_interval(2.0, draws) == Estimate(2.0, 0.025, 2.0)
    spoilt = [*draws, np.nan, np.inf, -np.inf]
    assert statistics.quantile_interval(0.5, spoilt) == statistics.quantile_interval(0.5, draws)
    assert statistics.quantile_interval(0.5, [np.nan]) == Estimate(0.5, 0.5, 0.5)


def test_a_range_need_not_hold_the_mean():
    values = [0.0] * 99 + [1000.0]
    assert statistics.mean_and_range(values) == Estimate(10.0, 0.0, 0.0)
    assert statistics.mean_and_range(np.arange(101.0)) == Estimate(50.0, 2.5, 97.5)


def test_the_ratio_of_means_against_resampling_by_hand():
    rng = np.random.default_rng(6)
    whole = 3 + crossed(rng, 6, 5)
    part = 0.4 * whole + 0.1 * rng.normal(size=(6, 5))
    rng, draws = np.random.default_rng(9), []
    for _ in range(200):
        rows = rng.integers(6, size=6)
        columns = rng.integers(5, size=5)
        draws.append(part[rows][:, columns].mean() / whole[rows][:, columns].mean())
    found = statistics.ratio_of_means(part, whole, seed=9, n_resamples=200)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (found.value, found.low, found.high) == pytest.approx((part.mean() / whole.mean(), low, high))


def test_a_ratio_to_nothing_is_zero():
    nothing = np.zeros((3, 2))
    assert statistics.ratio_of_means(np.ones((3, 2)), nothing, seed=0) == Estimate(0.0, 0.0, 0.0)


def test_the_interval_of_a_ratio_holds_it_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    held = []
    for _ in range(150):
        whole = 4 + crossed(rng, 16, 12, 0.5, 0.5)
        part = 0.3 * 4 + crossed(rng, 16, 12, 0.5, 0.5)
        found = statistics.ratio_of_means(part, whole, seed=0, n_resamples=200)
        held.append(found.low <= 0.3 <= found.high)
    assert 0.9 < np.mean(held) < 1.0


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(8).normal(size=(25, 3))
    without = (values.sum(0) - values) / 24
    np.testing.assert_allclose(statistics.jackknife_errors(without), values.std(axis=0, ddof=1) / 5)


@pytest.mark.parametrize("shape", [(9, 1), (1, 12)])
def test_equivalence_is_the_larger_of_two_one_sided_t_tests(shape):
    numbers = np.random.default_rng(10).normal(0.1, 0.5, size=shape)
    below = ttest_1samp(numbers.ravel(), 0.6, alternative="less").pvalue
    above = ttest_1samp(numbers.ravel(), -0.6, alternative="greater").pvalue
    found = statistics.equivalence_p_value(*statistics.moments(numbers), 0.6)
    assert found == pytest.approx(max(below, above))


def test_equivalent_says_that_the_90_percent_interval_lies_within_the_margin():
    rng, said = np.random.default_rng(11), []
    for _ in range(200):
        parts = statistics.moments(crossed(rng, 8, 6, 0.3, 0.3))
        inside = max(map(abs, (statistics.t_interval(*parts, 0.9).low, statistics.t_interval(*parts, 0.9).high))) < 0.5
        assert statistics.equivalent(*parts, 0.5) == inside
        said.append(inside)
    assert 10 < sum(said) < 190


def test_equivalence_without_an_error_or_a_margin():
    assert statistics.equivalent(0.1, 0.0, 1.0, 0.2)
    assert not statistics.equivalent(0.3, 0.0, 1.0, 0.2)
    assert statistics.equivalent(0.0, 0.0, 1.0, 0.0)
    assert not statistics.equivalent(0.0, 0.1, 5.0, 0.0)


def test_at_the_margin_itself_equivalence_is_claimed_no_more_often_than_the_level():
    rng = np.random.default_rng(12)
    said = [statistics.equivalent(*statistics.moments(1.0 + crossed(rng, 10, 1, 1.0, 0.0)), 1.0) for _ in range(400)]
    assert np.mean(said) < 0.09


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_small_beside_another_effect_that_is_uncertain_too(sign):
    rng = np.random.default_rng(13)
    found = dict.fromkeys((0.0, 0.2, 0.5, -0.5), 0)
    for _ in range(200):
        other = sign * 2 + crossed(rng, 12, 8, 0.3, 0.3, 0.3)
        for share in found:
            found[share] += statistics.small_beside(share * other + crossed(rng, 12, 8, 0.05, 0.05, 0.05), other)
    assert found[0.0] == 200
    assert found[0.2] <= 20  # exactly at the margin: no more often than the level
    assert found[0.5] == found[-0.5] == 0
    assert not statistics.small_beside(np.ones((3, 3)), np.zeros((3, 3)))


def test_fiellers_interval_by_its_definition():
    """The ratios r at which a t test does not tell the mean of part - r whole from 0: all tried."""
    rng = np.random.default_rng(12)
    whole = 3 + rng.normal(size=6)
    part = 0.7 * whole + 0.5 * rng.normal(size=6)
    found = statistics.ratio_over_prompts(part, whole)
    ratios = np.linspace(-1, 3, 40001)
    held = ratios[ttest_1samp(part[:, None] - whole[:, None] * ratios, 0).pvalue >= 0.05]
    assert (found.low, found.high) == pytest.approx((held.min(), held.max()), abs=2e-4)
    assert found.value == pytest.approx(part.mean() / whole.mean())
    scaled = statistics.ratio_over_prompts(-1e200 * part, -1e200 * whole)
    assert (scaled.low, scaled.high) == pytest.approx((found.low, found.high))


def test_a_share_of_what_may_be_nothing_has_no_ends():
    nothing = np.array([1.0, -0.9, 0.2, -0.1])
    assert statistics.ratio_over_prompts(np.ones(4), nothing).high == inf
    assert statistics.ratio_over_prompts(np.ones(1), np.full(1, 2.0)) == Estimate(0.5, -inf, inf)
    assert statistics.ratio_over_prompts(np.full(4, 0.5), np.ones(4)) == Estimate(0.5, 0.5, 0.5)
    with pytest.raises(UserError, match="share of nothing"):
        statistics.ratio_over_prompts(np.ones(3), np.zeros(3))


@pytest.mark.parametrize("n_prompts", [4, 8, 16])
def test_the_interval_of_a_share_over_few_prompts_holds_it_as_often_as_it_says(n_prompts):
    rng, held, by_bootstrap = np.random.default_rng(13), [], []
    for _ in range(800):
        whole = 3 + rng.normal(size=n_prompts)
        part = 0.8 * whole + rng.normal(size=n_prompts)
        found = statistics.ratio_over_prompts(part, whole)
        held.append(found.low <= 0.8 <= found.high)
        rows = statistics.bootstrap_rows(n_prompts, 200, rng)
        drawn = statistics.quantile_interval(found.value, part[rows].mean(1) / whole[rows].mean(1))
        by_bootstrap.append(drawn.low <= 0.8 <= drawn.high)
    assert 0.93 < np.mean(held) < 0.97
    assert np.mean(by_bootstrap) < np.mean(held)


def test_a_number_that_rounds_to_nothing_has_no_sign():
    assert f"{Estimate(-0.001, -0.002, 0.0):.2f}" == "+0.00 [+0.00, +0.00]"
