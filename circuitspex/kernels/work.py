"""Lists of work for the kernels: which masks each block is on under, which blocks are on under each mask.

What is here is made from NumPy arrays, one layer at a time: the plain form of lists that whole passes make on the
device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

Ints = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class BlockRows:
    """The rows of each block, for a projection whose outputs are gated by block.

    The masks under which block b is on are ``members[starts[b]:starts[b + 1]]``. The rows of these masks, R each, are
    the rows of the block; ``tiles`` lists them in pieces, sorted by block: ``(block, first row)``. Only the first
    ``n_tiles[0]`` of the tiles count: the arrays have the length of the most that there can be.
    """

    members: Int[Tensor, " places"]
    starts: Int[Tensor, " B+1"]
    tiles: Int[Tensor, "most 2"]
    n_tiles: Int[Tensor, " 1"]
    tile_rows: int


@dataclass(frozen=True)
class MaskBlocks:
    """The blocks that are on under each mask, ``blocks[starts[g]:starts[g + 1]]``, in their order."""

    blocks: Int[Tensor, " places"]
    starts: Int[Tensor, " G+1"]
    n_blocks: int


def tile_rows(n_rows: int) -> int:
    """How many rows a tile of a projection has, by the rows that there are: a power of two from 16 to 128."""
    return min(128, max(16, 1 << max(0, n_rows - 1).bit_length()))


def rows_by_block(on: Bool[np.ndarray, "G B"], rows: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Members, starts, tiles and their number, for ``BlockRows``; the arrays are as long as the most there can be."""
    n_masks, n_blocks = on.shape
    step = tile_rows(n_masks * rows)
    block, mask = np.nonzero(on.T)
    members = np.zeros(on.size, dtype=np.int32)
    members[: len(mask)] = mask
    counts = np.bincount(block, minlength=n_blocks)
    pieces = -(-counts * rows // step)
    tiles = np.zeros((most_tiles(n_masks, n_blocks, rows), 2), dtype=np.int32)
    total = int(pieces.sum())
    tiles[:total, 0] = np.repeat(np.arange(n_blocks), pieces)
    first = np.cumsum(pieces) - pieces
    tiles[:total, 1] = (np.arange(total) - np.repeat(first, pieces)) * step
    return members, _starts(counts), tiles, np.array([total], dtype=np.int32)


def most_tiles(n_masks: int, n_blocks: int, rows: int) -> int:
    """The number of tiles when every block is on."""
    return n_blocks * -(-n_masks * rows // tile_rows(n_masks * rows))


def blocks_by_mask(on: Bool[np.ndarray, "G B"]) -> tuple[Ints, Ints]:
    """Blocks and starts, for ``MaskBlocks``."""
    _, block = np.nonzero(on)
    blocks = np.zeros(on.size, dtype=np.int32)
    blocks[: len(block)] = block
    return blocks, _starts(on.sum(axis=1))


def _starts(counts: Any) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def block_rows(on: Any, rows: int, device: torch.device | str = "cpu") -> BlockRows:
    """``BlockRows`` of one layer by itself: ``on`` bool ``[G, B]`` (True = kept), ``rows`` under each mask."""
    made = [torch.from_numpy(array).to(device) for array in rows_by_block(np.asarray(on), rows)]
    return BlockRows(made[0], made[1], made[2], made[3], tile_rows(len(on) * rows))


def mask_blocks(on: Any, device: torch.device | str = "cpu") -> MaskBlocks:
    """``MaskBlocks`` of one layer by itself: ``on`` bool ``[G, B]`` (True = kept)."""
    blocks, starts = (torch.from_numpy(array).to(device) for array in blocks_by_mask(np.asarray(on)))
    return MaskBlocks(blocks, starts, np.asarray(on).shape[1])
