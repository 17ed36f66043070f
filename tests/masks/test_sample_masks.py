"""Sampled masks: reproducible, independent, with the share that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitspex.errors import UserError
from circuitspex.masks import check_keep, every_mask, mean_keep, sample_masks

sizes = st.integers(1, 40)
shares = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=50, deadline=None)
@given(sizes, sizes, sizes, shares, seeds)
def test_the_same_seed_gives_the_same_masks_and_prefixes_of_them(n, k, more, keep, seed):
    masks = sample_masks(n, k, keep=keep, seed=seed)
    assert masks.shape == (k, n)
    assert masks.dtype == np.bool_
    np.testing.assert_array_equal(masks, sample_masks(n, k, keep=keep, seed=seed))
    np.testing.assert_array_equal(masks, sample_masks(n, k + more, keep=keep, seed=seed)[:k])


@pytest.mark.parametrize("keep", [0.05, 0.3, 0.5, 0.9])
def test_components_are_kept_independently_with_the_given_share(keep):
    masks = sample_masks(30, 4000, keep=keep, seed=1)
    spread = np.sqrt(keep * (1 - keep) / 4000)
    assert abs(masks.mean() - keep) < 5 * spread / np.sqrt(30)
    assert np.abs(masks.mean(0) - keep).max() < 5 * spread
    correlation = np.corrcoef(masks.T) - np.eye(30)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_another_seed_gives_other_masks():
    drawn = {sample_masks(40, 5, seed=seed).tobytes() for seed in range(20)}
    assert len(drawn) == 20


def test_a_larger_share_keeps_what_a_smaller_one_keeps():
    small, large = sample_masks(20, 50, keep=0.3, seed=4), sample_masks(20, 50, keep=0.8, seed=4)
    assert (large | ~small).all()


@pytest.mark.parametrize("keep", [0, 1, -0.1, 1.5, float("nan"), float("inf")])
def test_shares_out_of_range_are_refused(keep):
    for call in (lambda: check_keep(keep), lambda: sample_masks(4, 4, keep=keep)):
        with pytest.raises(UserError, match="keep must lie between 0 and 1") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_one_share_gives_the_masks_it_always_gave():
    np.testing.assert_array_equal(sample_masks(7, 9, keep=0.3, seed=5), np.random.default_rng(5).random((9, 7)) < 0.3)


@settings(max_examples=50, deadline=None)
@given(sizes, sizes, sizes, seeds)
def test_mixed_shares_are_reproducible_and_prefixes(n, k, more, seed):
    masks = sample_masks(n, k, keep=(0.3, 0.9), seed=seed)
    np.testing.assert_array_equal(masks, sample_masks(n, k, keep=[0.3, 0.9], seed=seed))
    np.testing.assert_array_equal(masks, sample_masks(n, k + more, keep=(0.3, 0.9), seed=seed)[:k])


def test_each_mask_draws_its_own_share_uniformly():
    kept = sample_masks(2000, 1000, keep=(0.2, 0.6), seed=3).mean(1)
    assert kept.min() == pytest.approx(0.2, abs=0.05)
    assert kept.max() == pytest.approx(0.6, abs=0.05)
    assert kept.mean() == pytest.approx(mean_keep((0.2, 0.6)), abs=0.02)
    assert kept.std() == pytest.approx(0.4 / np.sqrt(12), rel=0.1)
    counts, _ = np.histogram(kept, 4, (0.2, 0.6))
    assert counts.min() > 200


def test_a_narrow_range_is_almost_one_share():
    near = sample_masks(30, 300, keep=(0.5 - 1e-9, 0.5 + 1e-9), seed=6)
    np.testing.assert_array_equal(near, sample_masks(30, 300, keep=0.5, seed=6))


def test_checked_shares_are_floats():
    assert check_keep([0.25, 0.5]) == (0.25, 0.5)
    assert isinstance(check_keep(np.float32(0.5)), float)
    assert mean_keep(0.4) == 0.4


@pytest.mark.parametrize("keep", [(0.5, 0.5), (0.9, 0.3), (0, 0.5), (0.5, 1), (0.5,), (0.1, 0.2, 0.3), (0.2, np.nan)])
def test_ranges_out_of_order_are_refused(keep):
    with pytest.raises(UserError, match=r"\(low, high\) with 0 < low < high < 1") as caught:
        sample_masks(4, 4, keep=keep)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", ["auto", "0.5", None, {}])
def test_what_is_no_share_is_refused(keep):
    with pytest.raises(UserError, match=r"keep must be a share such as 0\.5"):
        check_keep(keep)


@pytest.mark.parametrize(
    ("n", "k", "message"), [(0, 5, "number of components must be at least 1"), (5, 0, "number of masks"), (5, -1, "-1")]
)
def test_nothing_to_sample_is_refused(n, k, message):
    with pytest.raises(UserError, match=message):
        sample_masks(n, k)


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_every_mask_is_there_once(n):
    masks = every_mask(n, seed=3)
    assert masks.dtype == bool
    assert len(np.unique(masks, axis=0)) == len(masks) == 2**n
    np.testing.assert_array_equal(masks, every_mask(n, seed=3))


@pytest.mark.parametrize("n", [0, 21])
def test_too_many_masks_to_list(n):
    with pytest.raises(UserError, match="1 to 20 components"):
        every_mask(n)
