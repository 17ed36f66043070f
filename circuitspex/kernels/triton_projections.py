"""The projections as Triton kernels: a different mask for each group of rows, and no work for what is off.

Output projections loop over the blocks of a group that are on, taken from a list, so that the loop has no branch and
its loads can run ahead. What the baselines of ablated blocks add is one small product beforehand, and is added at the
end with the bias and the residual.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from circuitspex.kernels.launch import empty, precision, tiles, upcast


@triton.jit
def _output_kernel(
    x, order, count, gates, weight, added, bias, residual, out,
    R, O, B, D, S,
    HAS_ADDED: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_RESIDUAL: tl.constexpr, PARTIAL: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    group = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * BM + tl.arange(0, BM)
    columns = tl.program_id(2) * BN + tl.arange(0, BN)
    inner = tl.arange(0, BK)
    K = B * D
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    n_on = tl.load(count + group)
    x_rows = x + group * R * K + rows[:, None].to(tl.int64) * K
    w_rows = weight + columns[None, :].to(tl.int64) * K
    steps = tl.cdiv(D, BK)
    for i in range(n_on * steps):
        block = tl.load(order + group * B + i // steps)
        within = (i % steps) * BK + inner
        at = block * D + within
        a = tl.load(x_rows + at[None, :], mask=(rows[:, None] < R) & (within[None, :] < D), other=0.0)
        w = tl.load(w_rows + at[:, None], mask=(columns[None, :] < O) & (within[:, None] < D), other=0.0)
        if UPCAST:
            a, w = a.to(tl.float32), w.to(tl.float32)
        if PARTIAL:
            gate = tl.load(gates + group * B + block).to(tl.float32)
            acc += gate * tl.dot(a, w, input_precision=PRECISION)
        else:
            acc = tl.dot(a, w, acc, input_precision=PRECISION)
    inside = (rows[:, None] < R) & (columns[None, :] < O)
    if HAS_ADDED:
        at_base = added + group * S * O + (rows % S)[:, None].to(tl.int64) * O + columns[None, :]
        acc += tl.load(at_base, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        acc += tl.load(bias + columns, mask=columns < O, other=0.0).to(tl.float32)[None, :]
    place = group * R * O + rows[:, None].to(tl.int64) * O + columns[None, :]
    if HAS_RESIDUAL:
        acc += tl.load(residual + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + place, acc.to(out.dtype.element_ty), mask=inside)


def output_projection(
    x: Float[Tensor, "G R B*D"],
    gates: Float[Tensor, "G B"],
    weight: Float[Tensor, "O B*D"],
    contribution: Float[Tensor, "S B O"] | None,
    bias: Float[Tensor, " O"] | None,
    residual: Float[Tensor, "G R O"] | None,
) -> Float[Tensor, "G R O"]:
    """See ``ops.gated_output_projection``."""
    groups, rows, width = x.shape
    blocks, outputs = gates.shape[1], weight.shape[0]
    out = empty((groups, rows, outputs), x if residual is None else residual)
    if out.numel() == 0:
        return out
    x, weight, gates = x.contiguous(), weight.contiguous(), gates.contiguous()
    on = gates != 0
    order = torch.argsort((~on).to(torch.uint8), dim=1, stable=True).to(torch.int32)
    count = on.sum(1, dtype=torch.int32)
    added = None
    if contribution is not None:
        off = (1 - gates.float()) @ contribution.transpose(0, 1).reshape(blocks, -1).float()
        added = off.reshape(groups, len(contribution), outputs)
    size = tiles(rows, outputs, width // blocks)
    grid = (groups, triton.cdiv(rows, size["BM"]), triton.cdiv(outputs, size["BN"]))
    residual = None if residual is None else residual.contiguous()
    _output_kernel[grid](
        x, order, count, gates, weight, _or(added, x), _or(bias, x), _or(residual, x), out,
        rows, outputs, blocks, width // blocks, 1 if contribution is None else len(contribution),
        added is not None, bias is not None, residual is not None, bool(((gates != 0) & (gates != 1)).any()),
        precision(x.dtype), upcast(x.dtype), **size,
    )  # fmt: skip
    return out


@triton.jit
def _input_kernel(
    x, gates, weight, bias, out,
    R, I, B, D,
    HAS_BIAS: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    group = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * BM + tl.arange(0, BM)
    parts = tl.cdiv(D, BN)
    block = tl.program_id(2) // parts
    within = (tl.program_id(2) % parts) * BN + tl.arange(0, BN)
    columns = block * D + within
    inner = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    on = tl.load(gates + group * B + block) != 0
    # An ablated block has no steps: its zeros are written below like any other result.
    steps = tl.where(on, tl.cdiv(I, BK), 0)
    for i in range(steps):
        at = i * BK + inner
        a = tl.load(
            x + group * R * I + rows[:, None].to(tl.int64) * I + at[None, :],
            mask=(rows[:, None] < R) & (at[None, :] < I),
            other=0.0,
        )
        w = tl.load(
            weight + columns[None, :].to(tl.int64) * I + at[:, None],
            mask=(within[None, :] < D) & (at[:, None] < I),
            other=0.0,
        )
        if UPCAST:
            a, w = a.to(tl.float32), w.to(tl.float32)
        acc = tl.dot(a, w, acc, input_precision=PRECISION)
    if HAS_BIAS:
        b = tl.load(bias + columns, mask=within < D, other=0.0).to(tl.float32)
        acc += tl.where(on, b, 0.0)[None, :]
    place = group * R * B * D + rows[:, None].to(tl.int64) * (B * D) + columns[None, :]
    tl.store(out + place, acc.to(out.dtype.element_ty), mask=(rows[:, None] < R) & (within[None, :] < D))


def input_projection(
    x: Float[Tensor, "G R I"],
    gates: Float[Tensor, "G B"],
    weight: Float[Tensor, "B*D I"],
    bias: Float[Tensor, " B*D"] | None,
) -> Float[Tensor, "G R B*D"]:
    """See ``ops.gated_input_projection``."""
    groups, rows, inputs = x.shape
    blocks, width = gates.shape[1], weight.shape[0]
    out = empty((groups, rows, width), x)
    if out.numel() == 0:
        return out
    x, weight, gates = x.contiguous(), weight.contiguous(), gates.contiguous()
    size = tiles(rows, width // blocks, inputs)
    grid = (groups, triton.cdiv(rows, size["BM"]), blocks * triton.cdiv(width // blocks, size["BN"]))
    _input_kernel[grid](
        x, gates, weight, _or(bias, x), out, rows, inputs, blocks, width // blocks,
        bias is not None, precision(x.dtype), upcast(x.dtype), **size,
    )  # fmt: skip
    return out


@triton.jit
def _neurons_kernel(
    x, gates, baseline, weight, bias, residual, out,
    R, N, O, S,
    HAS_BASE: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_RESIDUAL: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    group = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * BM + tl.arange(0, BM)
    columns = tl.program_id(2) * BN + tl.arange(0, BN)
    inner = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    for i in range(tl.cdiv(N, BK)):
        at = i * BK + inner
        inside = (rows[:, None] < R) & (at[None, :] < N)
        g = tl.load(gates + group * N + at, mask=at < N, other=0.0).to(tl.float32)[None, :]
        # A neuron whose gate is 0 is not read: it may hold anything.
        a = tl.load(x + group * R * N + rows[:, None].to(tl.int64) * N + at[None, :], mask=inside & (g != 0), other=0.0)
        gated = a.to(tl.float32) * g
        if HAS_BASE:
            b = tl.load(baseline + (rows % S)[:, None].to(tl.int64) * N + at[None, :], mask=inside, other=0.0)
            gated += (1 - g) * b.to(tl.float32)
        w = tl.load(
            weight + columns[None, :].to(tl.int64) * N + at[:, None],
            mask=(columns[None, :] < O) & (at[:, None] < N),
            other=0.0,
        )
        gated = gated.to(w.dtype)
        if UPCAST:
            gated, w = gated.to(tl.float32), w.to(tl.float32)
        acc = tl.dot(gated, w, acc, input_precision=PRECISION)
    if HAS_BIAS:
        acc += tl.load(bias + columns, mask=columns < O, other=0.0).to(tl.float32)[None, :]
    place = group * R * O + rows[:, None].to(tl.int64) * O + columns[None, :]
    edge = (rows[:, None] < R) & (columns[None, :] < O)
    if HAS_RESIDUAL:
        acc += tl.load(residual + place, mask=edge, other=0.0).to(tl.float32)
    tl.store(out + place, acc.to(out.dtype.element_ty), mask=edge)


def neurons_projection(
    x: Float[Tensor, "G R N"],
    gates: Float[Tensor, "G N"],
    baseline: Float[Tensor, "S N"] | None,
    weight: Float[Tensor, "O N"],
    bias: Float[Tensor, " O"] | None,
    residual: Float[Tensor, "G R O"] | None,
) -> Float[Tensor, "G R O"]:
    """See ``ops.gated_neurons_projection``."""
    groups, rows, neurons = x.shape
    outputs = weight.shape[0]
    out = empty((groups, rows, outputs), x if residual is None else residual)
    if out.numel() == 0:
        return out
    size = tiles(rows, outputs, neurons)
    grid = (groups, triton.cdiv(rows, size["BM"]), triton.cdiv(outputs, size["BN"]))
    x, weight, gates = x.contiguous(), weight.contiguous(), gates.contiguous()
    baseline, residual = (None if t is None else t.contiguous() for t in (baseline, residual))
    _neurons_kernel[grid](
        x, gates, _or(baseline, x), weight, _or(bias, x), _or(residual, x), out,
        rows, neurons, outputs, 1 if baseline is None else len(baseline),
        baseline is not None, bias is not None, residual is not None, precision(x.dtype), upcast(x.dtype), **size,
    )  # fmt: skip
    return out


def _or(tensor: torch.Tensor | None, other: torch.Tensor) -> Any:
    """A kernel needs some pointer also for what it doesn't read."""
    return other if tensor is None else tensor
