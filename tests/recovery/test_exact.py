"""Every mask was run: the exact transform."""

import numpy as np
import pytest
from planted import all_masks, random_table, value_of, values_of

from circuitspex.recovery import decode


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_a_complete_game_is_transformed_exactly(n):
    table = random_table(n, counts=(min(n, 3), min(n * (n - 1) // 2, 3), 1 if n > 2 else 0), seed=n)
    masks = all_masks(n)[np.random.default_rng(n).permutation(2**n)]
    found = decode(masks, [value_of(table, mask) for mask in masks])
    assert {t: pytest.approx(c, abs=1e-12) for t, c in found.to_basis("fourier").items()} == table
    assert found.cross_validated.r2 == pytest.approx(1)


def test_repeated_masks_with_other_values_are_a_noisy_game():
    rng = np.random.default_rng(0)
    masks = np.concatenate([all_masks(3)] * 2)
    noise = decode(masks, rng.normal(size=16))
    assert noise.cross_validated.r2 < 0.5
    table = {(): 1.0, (0,): 2.0, (1, 2): -1.0}
    same = decode(masks, values_of(table, masks) + 1e-7 * rng.normal(size=16))
    assert same.cross_validated.r2 == pytest.approx(1, abs=1e-6)


def test_an_incomplete_game_is_not():
    masks = all_masks(4)[1:]
    found = decode(masks, values_of(random_table(4, counts=(4, 2, 0)), masks))
    assert found.cross_validated.n_masks == 15
    assert (found.cross_validated.r2 or 0) < 1
