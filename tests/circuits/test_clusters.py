"""One kind of prompts is called several at most once in twenty times, and several kinds are found."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from circuitspex.circuits.evidence.clusters import kinds, without_strength
from circuitspex.circuits.evidence.k_means import k_means

P, T = 12, 8
SEEDS = 100


def one_kind(rng, shape):
    """Effects over errors of prompts of one kind, which differ in one way or another."""
    common, direction, noise = 3 * rng.normal(size=T), 2 * rng.normal(size=T), rng.normal(size=(P, T))
    if shape == "noise":
        return common + noise
    if shape == "along a direction":
        return common + rng.normal(size=(P, 1)) * direction + noise
    return common * np.exp(0.7 * rng.normal(size=(P, 1))) + noise  # weaker and stronger


@pytest.mark.long
@pytest.mark.parametrize("shape", ["noise", "along a direction", "weaker and stronger"])
def test_prompts_of_one_kind_are_split_at_most_once_in_twenty_times(shape):
    rngs = map(np.random.default_rng, range(SEEDS))
    split = sum(kinds(one_kind(rng, shape), seed=seed, n_null=19)[0].any() for seed, rng in enumerate(rngs))
    assert split <= 0.05 * SEEDS


@pytest.mark.parametrize("count", [2, 3])
def test_kinds_that_use_other_parts_are_found(count):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        truth = rng.permutation(np.arange(18) % count)
        found, tests = kinds(4 * rng.normal(size=(count, T))[truth] + rng.normal(size=(18, T)), seed=seed)
        same = truth[:, None] == truth
        np.testing.assert_array_equal(found[:, None] == found, same)
        assert tests[0].accepted
        assert tests[0].share > tests[0].usual


def test_a_few_odd_prompts_are_no_kind():
    rng = np.random.default_rng(0)
    scaled = rng.normal(size=(P, T))
    scaled[:2] += 30 * rng.normal(size=T)
    assert not kinds(scaled)[0].any()


def test_the_same_seed_gives_the_same_and_no_more_kinds_than_asked_for():
    rng = np.random.default_rng(3)
    scaled = 6 * rng.normal(size=(3, T))[np.arange(18) % 3] + rng.normal(size=(18, T))
    first, again, two = kinds(scaled, seed=5), kinds(scaled, seed=5), kinds(scaled, most=2)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert two[0].max() <= 1
    assert not kinds(scaled, most=1)[0].any()


def test_what_has_nothing_to_tell_apart_is_one():
    for scaled in (np.ones((8, 3)), np.zeros((8, 3)), np.random.default_rng(0).normal(size=(8, 1))):
        assert not kinds(scaled)[0].any()


def test_strength_is_taken_out():
    rng = np.random.default_rng(0)
    pattern = rng.normal(size=5)
    np.testing.assert_allclose(without_strength(np.outer(rng.uniform(1, 3, 9), pattern)), 0, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_k_means_is_as_good_as_a_librarys(k):
    """It follows one start; on clear clusters it finds the same, and elsewhere it is not far from the best of many."""
    rng = np.random.default_rng(k)
    clear = 9 * rng.normal(size=(k, 5))[rng.integers(0, k, 30)] + rng.normal(size=(30, 5))
    for points, factor in ((clear, 1.0 + 1e-9), (rng.normal(size=(30, 5)), 1.25)):
        labels = k_means(points[None], k)[-1][0]
        within = sum(((points[labels == i] - points[labels == i].mean(0)) ** 2).sum() for i in set(labels))
        assert within <= factor * KMeans(k, n_init=20, random_state=0).fit(points).inertia_


def test_many_samples_at_once_are_clustered_as_one_at_a_time():
    samples = np.random.default_rng(0).normal(size=(6, 14, 4))
    together = k_means(samples, 3)
    for i, sample in enumerate(samples):
        for k, labels in enumerate(k_means(sample[None], 3)):
            np.testing.assert_array_equal(together[k][i], labels[0])
