"""A stack of decoders: weights are not negative, it is exactly the sum of its parts, and no worse than any of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted import all_masks, random_table
from scipy.optimize import lsq_linear

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.decoders import stack as stack_module
from circuitspex.recovery.decoders.stack import clearly_better, stack
from circuitspex.recovery.samples import Fitted, Samples

N, N_MASKS, N_FOLDS = 6, 40, 4
FOLD = np.arange(N_MASKS) % N_FOLDS


def part(seed: int, predicted: np.ndarray) -> Fitted:
    """A fit of random functions, which predicts this out of fold."""
    functions = [Polynomial.of(random_table(N, seed=100 * seed + i)) for i in range(N_FOLDS + 1)]
    return Fitted(functions[0], tuple(functions[1:]), predicted)


def problem(seed: int, errors: tuple[float, ...] = (0.5, 1.0, 3.0, 0.0)) -> tuple[list[Fitted], np.ndarray]:
    """Parts with errors of these sizes and a bias; an error of 0 stands for one that predicts the wrong sign."""
    rng = np.random.default_rng(seed)
    values = 3 + rng.normal(size=N_MASKS)
    predicted = [values + rng.normal() + e * rng.normal(size=N_MASKS) if e else -values for e in errors]
    return [part(10 * seed + i, each) for i, each in enumerate(predicted)], values


def weights_of(found: Fitted, parts: list[Fitted]) -> np.ndarray:
    """The weights and the constant, read off what the functions give on every mask."""
    x = np.where(all_masks(N), 1.0, -1.0)
    columns = [*(each.function.predict(x) for each in parts), np.ones(len(x))]
    return np.linalg.lstsq(np.stack(columns, axis=1), found.function.predict(x), rcond=None)[0]


@pytest.mark.parametrize("seed", range(8))
def test_weights_are_the_best_that_are_not_negative(seed):
    parts, values = problem(seed)
    weights = weights_of(stack(parts, values, FOLD), parts)
    predicted = np.stack([each.out_of_fold for each in parts], axis=1)
    bounds = ([0.0] * len(parts) + [-np.inf], np.inf)
    best = lsq_linear(np.c_[predicted, np.ones(N_MASKS)], values, bounds, method="bvls", tol=1e-14).x
    np.testing.assert_allclose(weights, best, atol=1e-6)
    assert weights[:-1].min() > -1e-9
    assert weights[3] == pytest.approx(0, abs=1e-9)  # what predicts the wrong sign


@pytest.mark.parametrize("lean", [0.0, 5.0])
@pytest.mark.parametrize("seed", range(8))
def test_the_combination_is_exact_and_that_of_a_fold_hardly_depends_on_it(seed, lean):
    parts, values = problem(seed)
    found, x = stack(parts, values, FOLD, lean=lean), np.where(all_masks(N), 1.0, -1.0)
    assert len(found.without_fold) == N_FOLDS
    for place in range(N_FOLDS):
        left = place != FOLD
        rest = [replace(each, out_of_fold=each.out_of_fold[left]) for each in parts]
        weights = weights_of(stack(rest, values[left], FOLD[left], lean=lean), parts)
        if not lean:
            weights = (weights + weights_of(found, parts)) / 2
        expected = weights[-1] + sum(
            w * each.without_fold[place].predict(x) for w, each in zip(weights, parts, strict=False)
        )
        np.testing.assert_allclose(found.without_fold[place].predict(x), expected, atol=1e-9)
        together = weights[-1] + sum(w * each.out_of_fold[~left] for w, each in zip(weights, parts, strict=False))
        np.testing.assert_allclose(found.out_of_fold[~left], together, atol=1e-9)


def test_what_parts_that_know_nothing_predict_is_not_flattered():
    """Weights that had seen a fold's values would explain some of pure chance, here with six parts and 40 masks."""
    gains = {0.0: [], 30.0: []}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=N_MASKS)
        parts = [part(0, rng.normal(size=N_MASKS)) for _ in range(6)]
        for lean, found in gains.items():
            predicted = stack(parts, values, FOLD, lean=lean).out_of_fold
            found.append(1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum())
    assert np.mean(gains[30.0]) < 0
    assert np.mean(gains[0.0]) < 0.05  # weights from all folds: .077


@pytest.mark.parametrize("seed", range(4))
def test_leaning_pulls_the_weights_to_the_first_part(seed):
    parts, values = problem(seed)
    away = [
        np.abs(weights_of(stack(parts, values, FOLD, lean=lean), parts)[:-1] - [1, 0, 0, 0]).max()
        for lean in (0.0, 30.0, 1e3, 1e7)
    ]
    assert sorted(away, reverse=True) == pytest.approx(away, abs=1e-6)
    assert away[-1] < 1e-3
    # The penalty is written out: its size is that of what the best combination misses.
    predicted = np.stack([each.out_of_fold for each in parts], axis=1)
    rows, wanted = predicted - predicted.mean(0), values - values.mean()
    free = lsq_linear(rows, wanted, (0, np.inf), tol=1e-14).x
    pull = 30 * ((wanted - rows @ free) ** 2).mean()
    best = lsq_linear(
        np.r_[rows, np.sqrt(pull) * np.eye(4)], np.r_[wanted, np.sqrt(pull) * np.eye(4)[0]], (0, np.inf), tol=1e-14
    ).x
    np.testing.assert_allclose(weights_of(stack(parts, values, FOLD, lean=30.0), parts)[:-1], best, atol=1e-5)


def test_leaning_costs_nothing_where_a_part_is_exact():
    parts, values = problem(3)
    parts[1] = part(99, values.copy())
    weights = weights_of(stack(parts, values, FOLD, lean=100.0), parts)
    np.testing.assert_allclose(weights, [0, 1, 0, 0, 0], atol=1e-6)


def test_two_parts_that_are_wrong_in_opposite_ways_are_averaged():
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    wrong = np.array([1.0, -1.0, 0.5, -0.5, 1.0, -1.0])
    parts = [part(0, values + wrong), part(1, values - wrong)]
    np.testing.assert_allclose(weights_of(stack(parts, values, FOLD[:6]), parts), [0.5, 0.5, 0.0], atol=1e-9)


def test_one_part_stays_as_it_is():
    parts, values = problem(0, (1.0,))
    assert stack(parts, values, FOLD) is parts[0]


def test_clearly_better_needs_more_than_one_standard_error():
    values = np.zeros(16)
    old = part(0, np.ones(16))
    assert clearly_better(part(1, np.full(16, 0.9)), old, values)
    assert not clearly_better(old, old, values)
    # Gains of +1 (eight times) and -0.6: their mean 0.2 is equal to their deviation 0.8 over four.
    for loss, better in ((0.58, True), (0.62, False)):
        mixed = np.r_[np.zeros(8), np.full(8, (1 + loss) ** 0.5)]
        assert clearly_better(part(2, mixed), old, values) == better


@pytest.mark.parametrize("given", [False, True])
def test_the_process_is_left_out_where_there_are_too_many_values_for_it(given, monkeypatch):
    calls: list[int] = []
    learned = stack_module.fit_learned

    def noticed(samples, *given, **options):
        calls.append(len(samples.values))
        return learned(samples, *given, **options)

    monkeypatch.setattr(stack_module, "fit_learned", noticed)
    rng = np.random.default_rng(0)
    masks = rng.random((60, 20)) < 0.5
    values, gradients = rng.normal(size=60), rng.normal(size=(60, 20)) if given else None
    for most, wanted in ((60, [60]), (59, [])):
        calls.clear()
        monkeypatch.setattr(stack_module, "_MOST_OF_PROCESS", most)
        found = stack_module.fit_with_gradients(Samples.check(masks, values, gradients, 0))
        assert calls == wanted
        assert np.isfinite(found.out_of_fold).all()
