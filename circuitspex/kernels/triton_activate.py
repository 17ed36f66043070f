"""Activation functions of neurons, with a gate and a baseline for each neuron, as a Triton kernel."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from circuitspex.kernels import launch
from circuitspex.kernels.launch import one_stride, or_other, pieces


@triton.jit
def activated(x, NAME: tl.constexpr):
    """The activation functions in ``definitions.ACTIVATIONS``, of float32."""
    if NAME == "silu":
        x = x * tl.sigmoid(x)
    elif NAME == "gelu":
        x = 0.5 * x * (1 + tl.erf(x * 0.7071067811865476))
    elif NAME == "gelu_tanh":
        # x (1 + tanh u) / 2 = x sigmoid(2 u), and the exponential in it may overflow without harm
        x = x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))
    elif NAME == "relu":
        x = tl.where(x < 0, 0.0, x)
    return x


@triton.jit
def _activate_kernel(
    up, gate, gates, baseline, out,
    R, N, S, up_row, gate_row,
    NAME: tl.constexpr, HAS_GATE: tl.constexpr, HAS_GATES: tl.constexpr, HAS_BASE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    group = (tl.program_id(0) // R).to(tl.int64)
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    read = at < N
    if HAS_GATES:
        g = tl.load(gates + group * N + at, mask=at < N, other=0.0)
        read = read & (g != 0)
    y = tl.load(up + row * up_row + at, mask=read, other=0.0).to(tl.float32)
    if HAS_GATE:
        y *= activated(tl.load(gate + row * gate_row + at, mask=read, other=0.0).to(tl.float32), NAME)
    else:
        y = activated(y, NAME)
    if HAS_BASE:
        y -= tl.load(baseline + row % S * N + at, mask=read, other=0.0).to(tl.float32)
    if HAS_GATES:
        y = tl.where(read, g * y, 0.0)
    tl.store(out + row * N + at, y.to(out.dtype.element_ty), mask=at < N)


def activate(up: Tensor, gate: Tensor | None, gates: Tensor | None, baseline: Tensor | None, activation: str) -> Tensor:
    """See ``operators.activate``."""
    groups, rows, width = up.shape
    out = launch.empty(tuple(up.shape), up)
    if out.numel() == 0:
        return out
    up, up_row = one_stride(up)
    other, other_row = (up, 0) if gate is None else one_stride(gate)
    block = pieces(width)
    _activate_kernel[(groups * rows, triton.cdiv(width, block))](
        up, other, or_other(gates, up), or_other(baseline, up), out,
        rows, width, 1 if baseline is None else len(baseline), up_row, other_row,
        activation, gate is not None, gates is not None, baseline is not None, BLOCK=block, num_warps=4, **launch.FUSED,
    )  # fmt: skip
    return out
