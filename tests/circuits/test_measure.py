"""Paired ablations measure what they say, against brute force on games that are known."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from circuitspex.circuits import estimate, measure, verify
from circuitspex.circuits.evidence._measure import measure_cells
from circuitspex.errors import UserError
from circuitspex.masks import sample_masks


def polynomial_game(rng: np.random.Generator, n: int, order: int, n_prompts: int = 1):
    terms = [t for k in range(1, order + 1) for t in combinations(range(n), k)]
    coefficients = rng.normal(size=(len(terms), n_prompts))

    def evaluate(masks: np.ndarray) -> np.ndarray:
        x = np.where(masks, 1.0, -1.0)
        return np.stack([x[:, list(t)].prod(1) for t in terms], 1) @ coefficients

    return evaluate, dict(zip(terms, coefficients, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_over_all_contexts_is_the_coefficient(seed: int) -> None:
    rng = np.random.default_rng(seed)
    evaluate, truth = polynomial_game(rng, 5, 3, n_prompts=2)
    contexts = np.array(np.meshgrid(*[[False, True]] * 5)).reshape(5, -1).T
    sets = [(0,), (1, 3), (0, 2, 4)]
    for members, differences in measure(evaluate, sets, contexts).items():
        expected = 2 ** len(members) * truth[members]
        np.testing.assert_allclose(differences.mean(0), expected, atol=1e-10)


def test_each_context_gives_the_difference_around_it() -> None:
    rng = np.random.default_rng(5)
    evaluate, _ = polynomial_game(rng, 6, 4)
    contexts = sample_masks(6, 7, seed=1)
    found = measure(evaluate, [(2, 5)], contexts)[2, 5][:, 0]
    for context, got in zip(contexts, found, strict=True):
        rows = np.repeat(context[None], 4, axis=0)
        rows[:, 2] = [True, True, False, False]
        rows[:, 5] = [True, False, True, False]
        both, first, second, neither = evaluate(rows)[:, 0]
        assert got == pytest.approx(both - first - second + neither, abs=1e-10)


def test_backup_is_negative_and_cooperation_positive() -> None:
    contexts = sample_masks(3, 8, seed=0)
    backup = measure(lambda m: (m[:, 0] | m[:, 1]).astype(float)[:, None], [(0, 1)], contexts)[0, 1]
    both = measure(lambda m: (m[:, 0] & m[:, 1]).astype(float)[:, None], [(0, 1)], contexts)[0, 1]
    assert (backup == -1).all()
    assert (both == 1).all()


def test_flips_are_shared() -> None:
    counts = []

    def evaluate(masks: np.ndarray) -> np.ndarray:
        counts.append(len(masks))
        return masks.sum(1, keepdims=True).astype(float)

    measure(evaluate, [(0,), (1,), (2,), (0, 1), (0, 2)], sample_masks(4, 10, seed=0))
    assert counts == [10 * (1 + 3 + 2)]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        contexts, prompts = rng.normal(size=(12, 1)), rng.normal(size=(1, 8))
        found = estimate(0.5 + contexts + 0.7 * prompts + 0.5 * rng.normal(size=(12, 8)))
        hits += found.low <= 0.5 <= found.high
    assert hits / 400 >= 0.93  # nominal 0.95; three standard errors of 400 draws are 0.033


def test_one_context_and_one_prompt_have_no_interval() -> None:
    with pytest.raises(UserError, match="at least two"):
        estimate(np.zeros((1, 1)))


@pytest.mark.parametrize("sets", [[()], [(0,), ()]])
def test_an_empty_set_is_refused(sets: list) -> None:
    with pytest.raises(UserError, match="at least one"):
        measure(lambda m: m.sum(1, keepdims=True), sets, sample_masks(3, 2, seed=0))


def test_verification_separates_a_circuit_from_random_ones() -> None:
    weights = np.zeros(20)
    weights[[3, 7, 11]] = 2.0

    def evaluate(masks: np.ndarray) -> np.ndarray:
        return (masks @ weights)[:, None] + np.arange(4) * 0.1

    found = verify(evaluate, 20, [3, 7, 11], n_random=30, seed=1)
    assert (found.full, found.empty) == (pytest.approx(6.15), pytest.approx(0.15))
    assert found.faithfulness == pytest.approx(1.0)
    assert found.circuit_removed.value == pytest.approx(found.empty)
    assert found.random_kept.high < found.circuit_kept.value
    assert found.random_removed.low > found.circuit_removed.value
    assert (found.n_prompts, found.n_components, found.n_random) == (4, 3, 30)
    assert "only the circuit kept        +6.15" in str(found)


def test_a_game_without_span_has_no_faithfulness() -> None:
    assert verify(lambda m: np.ones((len(m), 2)), 4, [0], n_random=2).faithfulness is None


def test_cells_are_the_metric_under_each_combination_in_each_context() -> None:
    rng = np.random.default_rng(8)
    weights = rng.normal(size=(6, 6, 3))
    contexts = sample_masks(6, 7, seed=2)

    def game(masks: np.ndarray) -> np.ndarray:
        return np.einsum("ki,kj,ijp->kp", masks.astype(float), masks.astype(float), weights)

    differences, cells = measure_cells(game, [(1, 4), (0, 2, 5)], contexts)
    for members in cells:
        for place, kept in enumerate(product((False, True), repeat=len(members))):
            masks = contexts.copy()
            masks[:, members] = kept
            np.testing.assert_allclose(cells[members][place], game(masks))
    pair = cells[1, 4]
    np.testing.assert_allclose(differences[1, 4], pair[3] - pair[2] - pair[1] + pair[0], atol=1e-12)
