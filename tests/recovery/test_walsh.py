"""The fast transform against the matrix of its definition."""

import numpy as np
import pytest

from circuitspex.errors import UserError
from circuitspex.recovery.bases.walsh import walsh_hadamard


def hadamard(size):
    """(-1)^<j, l>, bit by bit."""
    return np.array([[(-1.0) ** bin(j & index).count("1") for index in range(size)] for j in range(size)])


@pytest.mark.parametrize("shape", [(1,), (2,), (8,), (3, 4), (0, 4), (2, 5, 16), (128,)])
@pytest.mark.parametrize("seed", [0, 1])
def test_is_the_product_with_the_matrix(shape, seed):
    values = np.random.default_rng(seed).normal(size=shape)
    before = values.copy()
    out = walsh_hadamard(values)
    assert out.dtype == np.float64
    np.testing.assert_allclose(out, values @ hadamard(shape[-1]), atol=1e-12)
    np.testing.assert_allclose(walsh_hadamard(out), values * shape[-1], atol=1e-12)
    np.testing.assert_allclose((out**2).sum(), shape[-1] * (values**2).sum())  # Parseval
    np.testing.assert_array_equal(values, before)


def test_takes_what_is_not_contiguous_and_whole_numbers():
    values = np.arange(48).reshape(8, 6)[:, 1:3].T
    np.testing.assert_allclose(walsh_hadamard(values), values @ hadamard(8))


@pytest.mark.parametrize("wrong", [1.0, [], [1.0, 2.0, 3.0], np.zeros((4, 6)), np.zeros((4, 0)), [1.0, np.nan]])
def test_wrong_arrays_are_refused(wrong):
    with pytest.raises(UserError):
        walsh_hadamard(wrong)
