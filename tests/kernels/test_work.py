"""Lists of work beside slow loops that write them out."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.kernels import work


@pytest.fixture
def rng() -> np.random.Generator:
    seed = np.random.SeedSequence().entropy
    print(f"seed {seed}")  # shown where a test fails
    return np.random.default_rng(seed)


CASES = [(1, 1, 1), (3, 4, 5), (7, 9, 20), (40, 3, 14), (5, 6, 130)]  # masks, blocks, rows


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("masks", "blocks", "rows"), CASES)
def test_rows_by_block(masks, blocks, rows, share, rng):
    on = rng.random((masks, blocks)) < share
    made = work.block_rows(on, rows)
    step = made.tile_rows
    assert step == work.tile_rows(masks * rows)
    covered = []
    for tile in range(int(made.n_tiles)):
        block, first = made.tiles[tile].tolist()
        members = made.members[made.starts[block] : made.starts[block + 1]].tolist()
        for row in range(first, min(first + step, len(members) * rows)):
            covered.append((block, members[row // rows], row % rows))
    expected = [(b, g, r) for b in range(blocks) for g in range(masks) if on[g, b] for r in range(rows)]
    assert covered == expected
    assert len(made.tiles) == work.most_tiles(masks, blocks, rows) >= int(made.n_tiles)
    assert len(made.members) == masks * blocks
    if share == 1:
        assert int(made.n_tiles) == len(made.tiles)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("masks", "blocks", "rows"), CASES)
def test_blocks_by_mask(masks, blocks, rows, share, rng):
    on = rng.random((masks, blocks)) < share
    made = work.mask_blocks(on)
    assert len(made.blocks) == masks * blocks
    for mask in range(masks):
        found = made.blocks[made.starts[mask] : made.starts[mask + 1]].tolist()
        assert found == [b for b in range(blocks) if on[mask, b]]


def test_rows_of_a_tile():
    assert [work.tile_rows(n) for n in (0, 1, 16, 17, 64, 65, 128, 5000)] == [16, 16, 16, 32, 64, 128, 128, 128]


def test_arrays_have_one_length_for_one_shape(rng):
    lengths = set()
    for share in (0.0, 0.5, 1.0):
        arrays = work.rows_by_block(rng.random((6, 5)) < share, 7)
        assert {array.dtype for array in arrays} == {np.dtype(np.int32)}
        lengths.add(tuple(array.shape for array in arrays))
    assert len(lengths) == 1
