"""Products into blocks (query heads, groups of neurons) as a Triton kernel: blocks that are off are not computed.

The rows of a block are those of the masks under which it is on, gathered by a list, so that every tile is full of rows
that count whatever the masks are. A fixed number of programs takes the tiles in turn; how many tiles there are is read
on the device. Tiles that share rows or weights are taken close to each other, so that they find them in the cache.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from circuitspex.kernels import launch, tile_sizes
from circuitspex.kernels.launch import or_other, precision, rows_of, upcast
from circuitspex.kernels.triton_activate import activated


@triton.jit
def _gathered(members, starts, tiles, tile, R, BM: tl.constexpr):
    """The block of a tile, and of each of its rows the mask and the place within the mask; the last is repeated."""
    block = tl.load(tiles + 2 * tile)
    start = tl.load(starts + block)
    n_rows = (tl.load(starts + block + 1) - start) * R
    row = tl.load(tiles + 2 * tile + 1) + tl.arange(0, BM)
    valid = row < n_rows
    row = tl.minimum(row, n_rows - 1)
    return block, tl.load(members + start + row // R), row % R, valid


@triton.jit
def _project_in_kernel(
    x, weight, gate_weight, bias, gate_bias, gates, baseline, members, starts, tiles, n_tiles, out,
    G, R, I, B, D, S, w_row, gate_row,
    NAME: tl.constexpr, HAS_GATE: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_GATE_BIAS: tl.constexpr,
    HAS_GATES: tl.constexpr, HAS_BASE: tl.constexpr, ZEROS: tl.constexpr, EVEN: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, TOGETHER: tl.constexpr,
):  # fmt: skip
    inner = tl.arange(0, BK)
    parts = tl.cdiv(D, BN)
    n = tl.load(n_tiles)
    for item in range(tl.program_id(0), n * parts, tl.num_programs(0)):
        # TOGETHER tiles of rows with all their columns, then the next ones
        first = item // (TOGETHER * parts) * TOGETHER
        size = tl.minimum(TOGETHER, n - first)
        rest = item - first * parts
        tile = first + rest % size
        column = rest // size * BN + tl.arange(0, BN)
        block, mask, within, valid = _gathered(members, starts, tiles, tile, R, BM)
        place = mask.to(tl.int64) * R + within
        inside = column < D
        # Columns past the end repeat the last one; their products are not stored.
        read = (block * D + tl.minimum(column, D - 1)).to(tl.int64)
        column = block * D + column
        x_rows = x + place[:, None] * I
        w_rows = weight + read[None, :] * w_row
        gate_rows = gate_weight + read[None, :] * gate_row
        acc = tl.zeros((BM, BN), dtype=tl.float32)
        other = tl.zeros((BM, BN), dtype=tl.float32)
        for i in range(tl.cdiv(I, BK)):
            at = i * BK + inner
            if EVEN:
                a = tl.load(x_rows + at[None, :])
                w = tl.load(w_rows + at[:, None])
            else:
                a = tl.load(x_rows + at[None, :], mask=at[None, :] < I, other=0.0)
                w = tl.load(w_rows + at[:, None], mask=at[:, None] < I, other=0.0)
            if UPCAST:
                a, w = a.to(tl.float32), w.to(tl.float32)
            acc = tl.dot(a, w, acc, input_precision=PRECISION)
            if HAS_GATE:
                if EVEN:
                    v = tl.load(gate_rows + at[:, None])
                else:
                    v = tl.load(gate_rows + at[:, None], mask=at[:, None] < I, other=0.0)
                if UPCAST:
                    v = v.to(tl.float32)
                other = tl.dot(a, v, other, input_precision=PRECISION)
        if HAS_BIAS:
            acc += tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)[None, :]
        if HAS_GATE:
            if HAS_GATE_BIAS:
                other += tl.load(gate_bias + column, mask=inside, other=0.0).to(tl.float32)[None, :]
            acc *= activated(other, NAME)
        else:
            acc = activated(acc, NAME)
        if HAS_BASE:
            base_rows = baseline + (within % S).to(tl.int64)[:, None] * (B * D)
            acc -= tl.load(base_rows + column[None, :], mask=inside[None, :], other=0.0).to(tl.float32)
        if HAS_GATES:
            acc *= tl.load(gates + mask * B + block)[:, None]
        stored = out + place[:, None] * (B * D) + column[None, :]
        tl.store(stored, acc.to(out.dtype.element_ty), mask=valid[:, None] & inside[None, :])
    if ZEROS:
        _zero_kernel(members, starts, out, G, R, B, D, BM, BN)


@triton.jit
def _zero_kernel(members, starts, out, G, R, B, D, BM: tl.constexpr, BN: tl.constexpr):
    """Zeros into the blocks that are off: pairs of a block and a mask that the lists don't have."""
    lane = tl.arange(0, 64)
    for pair in range(tl.program_id(0), B * G, tl.num_programs(0)):
        block = pair // G
        mask = pair % G
        end = tl.load(starts + block + 1)
        found = tl.zeros((64,), dtype=tl.int32)
        for i in range(tl.load(starts + block), end, 64):
            found += (tl.load(members + i + lane, mask=i + lane < end, other=-1) == mask).to(tl.int32)
        rows = tl.where(tl.sum(found, 0) > 0, 0, R)
        for i in range(0, rows, BM):
            row = i + tl.arange(0, BM)
            place = (mask.to(tl.int64) * R + row) * (B * D)
            for j in range(0, D, BN):
                column = j + tl.arange(0, BN)
                inside = (row[:, None] < R) & (column[None, :] < D)
                stored = out + place[:, None] + (block * D + column)[None, :]
                tl.store(stored, tl.zeros((BM, BN), dtype=out.dtype.element_ty), mask=inside)


def project_in(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    gate_weight: Tensor | None,
    gate_bias: Tensor | None,
    gates: Tensor | None,
    baseline: Tensor | None,
    members: Tensor,
    starts: Tensor,
    tiles: Tensor,
    n_tiles: Tensor,
    tile_rows: int,
    activation: str,
    zeros: bool,
) -> Tensor:
    """See ``operators.project_in``."""
    groups, rows, inputs = x.shape
    blocks = len(starts) - 1
    width = weight.shape[0] // blocks
    out = launch.empty((groups, rows, weight.shape[0]), weight)
    if out.numel() == 0:
        return out
    x, weight = x.contiguous(), rows_of(weight)
    other = weight if gate_weight is None else rows_of(gate_weight)
    device = tile_sizes.device_of(x)
    gated = gate_weight is not None
    biased = bias is not None or gate_bias is not None
    ending = biased if gated else activation != "none"
    options, together = tile_sizes.project_in(tile_rows, inputs, width, gated, device, ending)
    most = len(tiles) * triton.cdiv(width, options["BN"])
    programs = min(device.multiprocessors * together, max(1, most, blocks * groups if zeros else 0))
    _project_in_kernel[(programs,)](
        x, weight, other, or_other(bias, x), or_other(gate_bias, x), or_other(gates, x), or_other(baseline, x),
        members, starts, tiles, n_tiles, out,
        groups, rows, inputs, blocks, width, 1 if baseline is None else len(baseline),
        weight.stride(0), other.stride(0),
        activation, gated, bias is not None, gate_bias is not None,
        gates is not None, baseline is not None, zeros, inputs % options["BK"] == 0,
        precision(x.dtype), upcast(x.dtype), TOGETHER=16, **options,
    )  # fmt: skip
    return out
