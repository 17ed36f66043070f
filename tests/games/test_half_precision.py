"""Gradients of many components are kept in half precision: within its rounding, in the run and in the store alike."""

import numpy as np
import pytest

from circuitspex.ablation import Store
from circuitspex.ablation.store.store import _packed, _unpacked
from circuitspex.games import FunctionGame
from circuitspex.half_precision import HALF_FROM, HalfMatrix


def heavy(shape, seed):
    """Numbers over many orders of magnitude, as slopes have them."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) * np.exp(3 * rng.normal(size=shape)) * np.exp(10 * rng.normal(size=(shape[0], 1)))


@pytest.mark.parametrize("seed", range(5))
def test_each_number_is_within_its_rounding(seed):
    matrix = heavy((7, 300), seed)
    half = HalfMatrix.of(matrix)
    largest = np.abs(matrix).max(1, keepdims=True)
    assert (
        np.abs(np.asarray(half, dtype=float) - matrix) <= np.maximum(2.0**-11 * np.abs(matrix), 2.0**-39 * largest)
    ).all()
    np.testing.assert_array_equal(np.asarray(HalfMatrix.of(np.asarray(half))), np.asarray(half))
    assert half.nbytes == 7 * 300 * 2 + 7 * 4


def test_rows_columns_and_zeros():
    matrix = heavy((6, 40), 1)
    matrix[2] = 0
    half = HalfMatrix.of(matrix)
    dense = np.asarray(half, dtype=float)
    assert (half[2] == 0).all()
    assert half.shape == (6, 40)
    assert len(half) == 6
    np.testing.assert_array_equal(half[3], dense[3])
    np.testing.assert_array_equal(np.asarray(half[[4, 1]]), dense[[4, 1]])
    np.testing.assert_array_equal(half.columns([7, 3]), dense[:, [7, 3]])


def wide(n=HALF_FROM + 100):
    weights = np.random.default_rng(0).normal(size=n)
    calls = []

    def slopes(masks):
        calls.append(len(masks))
        return weights * (1 + masks[:, :1])

    return FunctionGame, weights, slopes, calls


@pytest.mark.parametrize("stored", [False, True])
def test_a_wide_game_gives_the_same_gradients_with_and_without_a_store(tmp_path, stored):
    kind, weights, slopes, calls = wide()
    masks = np.random.default_rng(1).random((150, len(weights))) < 0.5
    masks[140] = masks[3]

    def game():
        store = {"store": Store(tmp_path / "s.sqlite"), "identity": "wide"} if stored else {}
        return kind(lambda m: m @ weights, len(weights), gradients=slopes, **store)

    run = game().evaluate(masks, gradients=True)
    assert isinstance(run.gradients, HalfMatrix)
    assert max(calls) <= 64  # chunk by chunk: they are never all there in double precision
    np.testing.assert_array_equal(run.masks, masks)
    np.testing.assert_allclose(run.values, masks @ weights)
    expected = HalfMatrix.of(weights * (1 + masks[:, :1]))
    np.testing.assert_array_equal(np.asarray(run.gradients), np.asarray(expected))
    again = game()
    np.testing.assert_array_equal(np.asarray(again.evaluate(masks, gradients=True).gradients), np.asarray(expected))
    assert again.n_stored == (149 if stored else 0)


def test_the_store_takes_two_bytes_a_number_and_gives_back_what_it_was_given():
    row = np.asarray(HalfMatrix.of(heavy((1, HALF_FROM + 1), 3)), dtype=float)[0]
    assert len(_packed(row)) == 5 + 2 * len(row)
    np.testing.assert_array_equal(_unpacked(_packed(row)), row)
    exact = heavy((1, HALF_FROM + 1), 4)[0]
    np.testing.assert_array_equal(_unpacked(_packed(exact)), exact)


def test_few_components_keep_double_precision():
    kind, weights, slopes, _ = wide(50)
    run = kind(lambda m: m @ weights, 50, gradients=slopes).evaluate(np.ones((2, 50), dtype=bool), gradients=True)
    assert isinstance(run.gradients, np.ndarray)
    assert run.gradients.dtype == np.float64
