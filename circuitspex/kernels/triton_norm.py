"""Norms as Triton kernels: of rows, and of the residual stream after an output has been added to it.

Both are bound by memory: one row a program, held in registers up to a width of 16,384; wider rows are read again.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from circuitspex.kernels import launch
from circuitspex.kernels.launch import or_other, row_options


@triton.jit
def _normed(a, at, inside, place, square, scale, shift, residual, out, HAS_SHIFT: tl.constexpr, HAS_R: tl.constexpr):
    y = a * square * tl.load(scale + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_SHIFT:
        y += tl.load(shift + at, mask=inside, other=0.0).to(tl.float32)
    if HAS_R:
        y += tl.load(residual + place + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + place + at, y.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["R"], do_not_specialize_on_alignment=["masks"])
def _norm_kernel(
    x, masks, scale, shift, residual, out,
    R, I, x_mask, x_row, eps,
    HAS_MASKS: tl.constexpr, HAS_SHIFT: tl.constexpr, HAS_RESIDUAL: tl.constexpr, CENTRED: tl.constexpr,
    WHOLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    group = (row // R).to(tl.int64)
    if HAS_MASKS:
        group = tl.load(masks + group).to(tl.int64)
    start = group * x_mask + (row % R).to(tl.int64) * x_row
    place = row.to(tl.int64) * I
    if WHOLE:
        at = tl.arange(0, BLOCK)
        inside = at < I
        a = tl.load(x + start + at, mask=inside, other=0.0).to(tl.float32)
        if CENTRED:
            a = tl.where(inside, a - tl.sum(a, 0) / I, 0.0)
        square = tl.rsqrt(tl.sum(a * a, 0) / I + eps)
        _normed(a, at, inside, place, square, scale, shift, residual, out, HAS_SHIFT, HAS_RESIDUAL)
    else:
        mean = 0.0
        if CENTRED:
            total = tl.zeros((BLOCK,), dtype=tl.float32)
            for first in range(0, I, BLOCK):
                at = first + tl.arange(0, BLOCK)
                total += tl.load(x + start + at, mask=at < I, other=0.0).to(tl.float32)
            mean = tl.sum(total, 0) / I
        squares = tl.zeros((BLOCK,), dtype=tl.float32)
        for first in range(0, I, BLOCK):
            at = first + tl.arange(0, BLOCK)
            a = tl.load(x + start + at, mask=at < I, other=0.0).to(tl.float32)
            a = tl.where(at < I, a - mean, 0.0)
            squares += a * a
        square = tl.rsqrt(tl.sum(squares, 0) / I + eps)
        for first in range(0, I, BLOCK):
            at = first + tl.arange(0, BLOCK)
            a = tl.load(x + start + at, mask=at < I, other=0.0).to(tl.float32) - mean
            _normed(a, at, at < I, place, square, scale, shift, residual, out, HAS_SHIFT, HAS_RESIDUAL)


def norm(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | None,
    residual: Tensor | None,
    masks: Tensor | None,
    eps: float,
    centred: bool,
    dtype: torch.dtype,
) -> Tensor:
    """See ``operators.norm``."""
    _, rows, width = x.shape
    some = len(x) if masks is None else len(masks)
    out = launch.empty((some, rows, width), x, dtype)
    if out.numel() == 0:
        return out
    if width > 1 and x.stride(2) != 1:
        x = x.contiguous()
    _norm_kernel[(some * rows,)](
        x, or_other(masks, x), or_other(scale, x), or_other(shift, x), or_other(residual, x), out,
        rows, width, x.stride(0), x.stride(1), eps,
        masks is not None, shift is not None, residual is not None, centred, **row_options(width),
    )  # fmt: skip
    return out


@triton.jit
def _added(
    h, out, baseline, new, place, from_out, from_base, at, inside, gain, limit,
    HAS_BASE: tl.constexpr,
):  # fmt: skip
    """The new residual stream, rounded to its own dtype; of ``out`` so much is read as ``limit`` says."""
    a = tl.load(h + place + at, mask=inside, other=0.0).to(tl.float32)
    a += gain * tl.load(out + from_out + at, mask=at < limit, other=0.0).to(tl.float32)
    if HAS_BASE:
        a += (1 - gain) * tl.load(baseline + from_base + at, mask=inside, other=0.0).to(tl.float32)
    return a.to(new.dtype.element_ty)


@triton.jit(do_not_specialize=["R", "S"], do_not_specialize_on_alignment=["slots", "gains"])
def _add_norm_kernel(
    h, out, slots, gains, baseline, scale, shift, new, normed,
    R, I, S, eps,
    HAS_SLOTS: tl.constexpr, HAS_GAIN: tl.constexpr, HAS_BASE: tl.constexpr,
    HAS_SHIFT: tl.constexpr, CENTRED: tl.constexpr, WHOLE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    group = (row // R).to(tl.int64)
    within = (row % R).to(tl.int64)
    place = row.to(tl.int64) * I
    from_base = within % S * I
    gain = 1.0
    if HAS_GAIN:
        gain = tl.load(gains + group).to(tl.float32)
    slot = group
    if HAS_SLOTS:
        slot = tl.load(slots + group).to(tl.int64)
        # A mask without a place has nothing to be read, whatever its gain says.
        gain = tl.where(slot < 0, 0.0, gain)
    limit = tl.where(gain == 0, 0, I) if HAS_GAIN else I
    from_out = (slot * R + within) * I
    if WHOLE:
        at = tl.arange(0, BLOCK)
        inside = at < I
        a = _added(h, out, baseline, new, place, from_out, from_base, at, inside, gain, limit, HAS_BASE)
        tl.store(new + place + at, a, mask=inside)
        a = a.to(tl.float32)
        if CENTRED:
            a = tl.where(inside, a - tl.sum(a, 0) / I, 0.0)
        square = tl.rsqrt(tl.sum(a * a, 0) / I + eps)
        _normed(a, at, inside, place, square, scale, shift, h, normed, HAS_SHIFT, False)
    else:
        mean = 0.0
        if CENTRED:
            total = tl.zeros((BLOCK,), dtype=tl.float32)
            for first in range(0, I, BLOCK):
                at = first + tl.arange(0, BLOCK)
                a = _added(h, out, baseline, new, place, from_out, from_base, at, at < I, gain, limit, HAS_BASE)
                total += a.to(tl.float32)
            mean = tl.sum(total, 0) / I
        squares = tl.zeros((BLOCK,), dtype=tl.float32)
        for first in range(0, I, BLOCK):
            at = first + tl.arange(0, BLOCK)
            a = _added(h, out, baseline, new, place, from_out, from_base, at, at < I, gain, limit, HAS_BASE)
            tl.store(new + place + at, a, mask=at < I)
            a = tl.where(at < I, a.to(tl.float32) - mean, 0.0)
            squares += a * a
        square = tl.rsqrt(tl.sum(squares, 0) / I + eps)
        for first in range(0, I, BLOCK):
            at = first + tl.arange(0, BLOCK)
            a = _added(h, out, baseline, new, place, from_out, from_base, at, at < I, gain, limit, HAS_BASE)
            a = a.to(tl.float32) - mean
            _normed(a, at, at < I, place, square, scale, shift, h, normed, HAS_SHIFT, False)


def add_norm(
    h: Tensor,
    out: Tensor,
    slots: Tensor | None,
    gain: Tensor | None,
    baseline: Tensor | None,
    scale: Tensor,
    shift: Tensor | None,
    eps: float,
    centred: bool,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """See ``operators.add_norm``."""
    groups, rows, width = h.shape
    new, normed = launch.empty(tuple(h.shape), h), launch.empty(tuple(h.shape), h, dtype)
    if new.numel() == 0:
        return new, normed
    h, out = h.contiguous(), out.contiguous()
    _add_norm_kernel[(groups * rows,)](
        h, out, or_other(slots, h), or_other(gain, h), or_other(baseline, h),
        or_other(scale, h), or_other(shift, h), new, normed,
        rows, width, 1 if baseline is None else len(baseline), eps,
        slots is not None, gain is not None, baseline is not None, shift is not None, centred,
        **row_options(width),
    )  # fmt: skip
    return new, normed
