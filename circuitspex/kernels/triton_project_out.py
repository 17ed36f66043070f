"""Products out of blocks (heads, groups of neurons) as a Triton kernel: what is off is neither read nor summed.

Each mask has a list of the blocks that are on. The loop over them has no branch, and the next block's number is read a
step before it is needed, so that the reads of numbers that follow from it run ahead as in a product of whole matrices.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from circuitspex.kernels import launch, tile_sizes
from circuitspex.kernels.launch import or_other, precision, rows_of, upcast


@triton.jit
def _project_out_kernel(
    z, weight, blocks, starts, added, residual, out,
    G, R, O, K, D, S, w_row,
    HAS_ADDED: tl.constexpr, HAS_RESIDUAL: tl.constexpr, EVEN: tl.constexpr, WIDE: tl.constexpr, STEPS: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, TOGETHER: tl.constexpr,
):  # fmt: skip
    # TOGETHER tiles of rows with all their columns, then the next ones, so that weights are found in the cache
    parts = tl.cdiv(O, BN)
    row_tiles = tl.cdiv(R, BM)
    first = tl.program_id(0) // (TOGETHER * parts) * TOGETHER
    size = tl.minimum(TOGETHER, G * row_tiles - first)
    rest = tl.program_id(0) - first * parts
    tile = first + rest % size
    group = tile // row_tiles
    row = tile % row_tiles * BM + tl.arange(0, BM)
    column = rest // size * BN + tl.arange(0, BN)
    place = group.to(tl.int64) * R + row
    # Rows and columns past the end repeat the last one; their sums are not stored. Places within a mask and within the
    # weights have 32 bits where that is enough, which leaves registers for sums.
    z_at, w_at = tl.minimum(row, R - 1), tl.minimum(column, O - 1)
    if WIDE:
        z_at, w_at = z_at.to(tl.int64), w_at.to(tl.int64)
    z_at, w_at = z_at[:, None] * K, w_at[None, :] * w_row
    z_rows = z + group.to(tl.int64) * R * K
    inner = tl.arange(0, BK)
    start = tl.load(starts + group)
    n_on = tl.load(starts + group + 1) - start
    block = tl.load(blocks + start, mask=n_on > 0, other=0)
    inside = (row[:, None] < R) & (column[None, :] < O)
    # Sums begin with what is added, and end with the residual: to hold both at the end would take too many registers.
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    if HAS_ADDED:
        added_rows = added + (row % S).to(tl.int64)[:, None] * O
        acc += tl.load(added_rows + column[None, :], mask=inside, other=0.0).to(tl.float32)
    for i in range(n_on * STEPS):
        within = i % STEPS * BK + inner
        at = block * D + within
        if EVEN:
            a = tl.load(z_rows + (z_at + at[None, :]))
            w = tl.load(weight + (w_at + at[:, None]))
        else:
            a = tl.load(z_rows + (z_at + at[None, :]), mask=within[None, :] < D, other=0.0)
            w = tl.load(weight + (w_at + at[:, None]), mask=within[:, None] < D, other=0.0)
        if UPCAST:
            a, w = a.to(tl.float32), w.to(tl.float32)
        acc = tl.dot(a, w, acc, input_precision=PRECISION)
        block = tl.load(blocks + start + tl.minimum((i + 1) // STEPS, n_on - 1))
    stored = place[:, None] * O + column[None, :]
    if HAS_RESIDUAL:
        acc += tl.load(residual + stored, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + stored, acc.to(out.dtype.element_ty), mask=inside)


def project_out(
    z: Tensor,
    weight: Tensor,
    blocks: Tensor,
    starts: Tensor,
    n_blocks: int,
    added: Tensor | None,
    residual: Tensor | None,
) -> Tensor:
    """See ``operators.project_out``."""
    groups, rows, inputs = z.shape
    outputs, width = weight.shape[0], inputs // max(1, n_blocks)
    out = launch.empty((groups, rows, outputs), z if residual is None else residual)
    if out.numel() == 0:
        return out
    z, weight = z.contiguous(), rows_of(weight)
    options, _ = tile_sizes.project_out(rows, outputs, width, tile_sizes.device_of(z))
    programs = groups * triton.cdiv(rows, options["BM"]) * triton.cdiv(outputs, options["BN"])
    _project_out_kernel[(programs,)](
        z, weight, or_other(blocks if len(blocks) else None, z), starts,
        or_other(added, z), or_other(residual, z), out,
        groups, rows, outputs, inputs, width, 1 if added is None else len(added), weight.stride(0),
        added is not None, residual is not None,
        width % options["BK"] == 0, max(rows * inputs, outputs * weight.stride(0)) >= 2**31,
        triton.cdiv(width, options["BK"]),
        precision(z.dtype), upcast(z.dtype), TOGETHER=16, **options,
    )  # fmt: skip
    return out
