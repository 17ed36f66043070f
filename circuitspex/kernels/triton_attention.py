"""Causal attention as a Triton kernel: heads that are off are skipped, positions are turned on the way.

The softmax is built up over tiles of keys: first those before, which all masks share, then the mask's own. The numbers
of a head lie in up to three tiles: the two halves that rotary positions turn together, and those that they leave alone.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from circuitspex.kernels import launch, tile_sizes
from circuitspex.kernels.launch import or_other, precision, upcast


@triton.jit
def _part(rows, first, count, SIZE: tl.constexpr):
    """Numbers ``first`` to ``first + count`` of each row, and zeros to the tile's end."""
    at = tl.arange(0, SIZE)[None, :]
    return tl.load(rows + first + at, mask=at < count, other=0.0)


@triton.jit
def _halves(rows, cos_rows, sin_rows, half, TURN: tl.constexpr, HALF: tl.constexpr):
    """The two halves that rotary positions turn, turned and rounded if ``TURN``."""
    one = _part(rows, 0, half, HALF)
    two = _part(rows, half, half, HALF)
    if TURN:
        a, b = one.to(tl.float32), two.to(tl.float32)
        turned = a * _part(cos_rows, 0, half, HALF) - b * _part(sin_rows, 0, half, HALF)
        other = b * _part(cos_rows, half, half, HALF) + a * _part(sin_rows, half, half, HALF)
        one, two = turned.to(one.dtype), other.to(two.dtype)
    return one, two


@triton.jit
def _tile(
    q_one, q_two, q_rest, acc, largest, total,
    k, v, cos, sin, key, key_place, place, limit, k_t, v_t, D, rotary, scale, softcap, window,
    TURN: tl.constexpr, SOFTCAP: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, HALF: tl.constexpr, REST: tl.constexpr,
):  # fmt: skip
    """One tile of keys and values; keys past the end repeat the last one, and are not seen."""
    key_at = tl.minimum(key, limit - 1)[:, None].to(tl.int64)
    rows = k + key_at * k_t
    scores = tl.zeros((BM, BN), dtype=tl.float32)
    if HALF > 0:
        at = tl.minimum(key_place, key_place - key + limit - 1)[:, None].to(tl.int64) * rotary
        one, two = _halves(rows, cos + at, sin + at, rotary // 2, TURN, HALF)
        if UPCAST:
            one, two = one.to(tl.float32), two.to(tl.float32)
        scores = tl.dot(q_one, tl.trans(one), scores, input_precision=PRECISION)
        scores = tl.dot(q_two, tl.trans(two), scores, input_precision=PRECISION)
    if REST > 0:
        rest = _part(rows, rotary, D - rotary, REST)
        if UPCAST:
            rest = rest.to(tl.float32)
        scores = tl.dot(q_rest, tl.trans(rest), scores, input_precision=PRECISION)
    if SOFTCAP:
        # tanh from exponentials of a number that is never positive, so that none overflows
        y = scores * (scale / softcap)
        e = tl.exp(-2 * tl.abs(y))
        scores = softcap * tl.where(y < 0, -1.0, 1.0) * (1 - e) / (1 + e) * 1.4426950408889634
    else:
        scores *= scale * 1.4426950408889634
    seen = (key_place[None, :] <= place[:, None]) & (key[None, :] < limit)
    if WINDOW:
        seen = seen & (key_place[None, :] > place[:, None] - window)
    scores = tl.where(seen, scores, -1e30)
    new = tl.maximum(largest, tl.max(scores, 1))
    weights = tl.where(seen, tl.exp2(scores - new[:, None]), 0.0)
    shrink = tl.exp2(largest - new)
    values = _part(v + key_at * v_t, 0, D, BD)
    rounded = weights.to(values.dtype)
    if UPCAST:
        rounded, values = rounded.to(tl.float32), values.to(tl.float32)
    acc = tl.dot(rounded, values, acc * shrink[:, None], input_precision=PRECISION)
    return acc, new, total * shrink + tl.sum(weights, 1)


@triton.jit
def _attention_kernel(
    q, k, v, cos, sin, before_k, before_v, gates, baseline, out,
    H, KV, TQ, TK, D, BEFORE, PER, P, BASES, GATED, rotary,
    q_n, q_t, q_h, k_n, k_t, k_h, v_n, v_t, v_h, bk_n, bk_t, bk_h, bv_n, bv_t, bv_h,
    scale, softcap, window,
    HAS_BEFORE: tl.constexpr, HAS_GATES: tl.constexpr, HAS_BASE: tl.constexpr, SOFTCAP: tl.constexpr,
    WINDOW: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr, HALF: tl.constexpr, REST: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(0) % H
    sequence = (tl.program_id(0) // H).to(tl.int64)
    kv_head = head // (H // KV)
    start = tl.program_id(1) * BM
    row = start + tl.arange(0, BM)
    width = tl.arange(0, BD)
    last = tl.minimum(TK, TK - TQ + start + BM)
    rows_read, before_read = TQ, BEFORE
    if HAS_GATES:
        # The gates of a mask, one for all positions or one each
        gate_at = gates + sequence // PER * GATED * H + tl.minimum(row, GATED - 1) * H + head
        gate = tl.load(gate_at, mask=row < TQ, other=0.0)
        on = tl.max(tl.abs(gate), 0) > 0
        # A head that is off has no steps, and nothing of it is read: its zeros are written like any other result.
        last = tl.where(on, last, 0)
        rows_read = tl.where(on, TQ, 0)
        before_read = tl.where(on, BEFORE, 0)
    place = BEFORE + TK - TQ + row
    first = 0
    if WINDOW:
        first = tl.maximum(0, BEFORE + TK - TQ + start - window + 1)
    q_rows = q + sequence * q_n + head * q_h + row[:, None].to(tl.int64) * q_t
    q_one, q_two, q_rest = place, place, place
    read = row[:, None] < rows_read
    if HALF > 0:
        half = tl.arange(0, HALF)[None, :]
        inside = read & (half < rotary // 2)
        q_one = tl.load(q_rows + half, mask=inside, other=0.0)
        q_two = tl.load(q_rows + rotary // 2 + half, mask=inside, other=0.0)
        at = place[:, None].to(tl.int64) * rotary + half
        c = tl.load(cos + at, mask=inside, other=0.0).to(tl.float32)
        s = tl.load(sin + at, mask=inside, other=0.0).to(tl.float32)
        turned = q_one.to(tl.float32) * c - q_two.to(tl.float32) * s
        c = tl.load(cos + rotary // 2 + at, mask=inside, other=0.0).to(tl.float32)
        s = tl.load(sin + rotary // 2 + at, mask=inside, other=0.0).to(tl.float32)
        other = q_two.to(tl.float32) * c + q_one.to(tl.float32) * s
        q_one, q_two = turned.to(q.dtype.element_ty), other.to(q.dtype.element_ty)
        if UPCAST:
            q_one, q_two = q_one.to(tl.float32), q_two.to(tl.float32)
    if REST > 0:
        rest = tl.arange(0, REST)[None, :]
        q_rest = tl.load(q_rows + rotary + rest, mask=read & (rest < D - rotary), other=0.0)
        if UPCAST:
            q_rest = q_rest.to(tl.float32)
    acc = tl.zeros((BM, BD), dtype=tl.float32)
    largest = tl.full((BM,), -1e30, dtype=tl.float32)
    total = tl.zeros((BM,), dtype=tl.float32)
    if HAS_BEFORE:
        old_k = before_k + sequence % P * bk_n + kv_head * bk_h
        old_v = before_v + sequence % P * bv_n + kv_head * bv_h
        for i in range(first // BN * BN, before_read, BN):
            key = i + tl.arange(0, BN)
            acc, largest, total = _tile(
                q_one, q_two, q_rest, acc, largest, total,
                old_k, old_v, cos, sin, key, key, place, BEFORE, bk_t, bv_t, D, rotary, scale, softcap, window,
                False, SOFTCAP, WINDOW, PRECISION, UPCAST, BM, BN, BD, HALF, REST,
            )  # fmt: skip
    own_k = k + sequence * k_n + kv_head * k_h
    own_v = v + sequence * v_n + kv_head * v_h
    for i in range(tl.maximum(0, first - BEFORE) // BN * BN, last, BN):
        key = i + tl.arange(0, BN)
        acc, largest, total = _tile(
            q_one, q_two, q_rest, acc, largest, total,
            own_k, own_v, cos, sin, key, BEFORE + key, place, TK, k_t, v_t, D, rotary, scale, softcap, window,
            True, SOFTCAP, WINDOW, PRECISION, UPCAST, BM, BN, BD, HALF, REST,
        )  # fmt: skip
    z = acc / tl.where(total > 0, total, 1.0)[:, None]
    inside = (row[:, None] < TQ) & (width[None, :] < D)
    within = row[:, None].to(tl.int64) * (H * D) + head * D + width[None, :]
    if HAS_GATES:
        if HAS_BASE:
            base_at = baseline + sequence % BASES * TQ * (H * D) + within
            z -= tl.load(base_at, mask=inside, other=0.0).to(tl.float32)
        z = tl.where(gate[:, None] == 0, 0.0, gate[:, None] * z)
    tl.store(out + sequence * TQ * (H * D) + within, z.to(out.dtype.element_ty), mask=inside)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cos: Tensor | None,
    sin: Tensor | None,
    before_k: Tensor | None,
    before_v: Tensor | None,
    gates: Tensor | None,
    baseline: Tensor | None,
    scale: float,
    softcap: float,
    window: int,
) -> Tensor:
    """See ``operators.attention``."""
    sequences, queries, heads, width = q.shape
    out = launch.empty((sequences, queries, heads * width), q)
    if out.numel() == 0:
        return out
    q, k, v = (_numbers_beside(t) for t in (q, k, v))
    old_k, old_v = (k if t is None else _numbers_beside(t.to(k.dtype)) for t in (before_k, before_v))
    rotary = 0 if cos is None else cos.shape[1]
    options = tile_sizes.attention(queries, width, rotary)
    _attention_kernel[(sequences * heads, triton.cdiv(queries, options["BM"]))](
        q, k, v, or_other(cos, q), or_other(sin, q), old_k, old_v, or_other(gates, q), or_other(baseline, q), out,
        heads, k.shape[2], queries, k.shape[1], width, 0 if before_k is None else before_k.shape[1],
        1 if gates is None else sequences // len(gates), 1 if before_k is None else len(before_k),
        1 if baseline is None else len(baseline), 1 if gates is None else gates.shape[1], rotary,
        *q.stride()[:3], *k.stride()[:3], *v.stride()[:3], *old_k.stride()[:3], *old_v.stride()[:3],
        scale, softcap, window,
        before_k is not None and before_k.shape[1] > 0, gates is not None, gates is not None and baseline is not None,
        softcap > 0, window > 0, precision(q.dtype), upcast(q.dtype), **options,
    )  # fmt: skip
    return out


def _numbers_beside(x: Tensor) -> Tensor:
    """Whose last axis is contiguous; copied where it isn't."""
    return x if x.shape[-1] == 1 or x.stride(-1) == 1 else x.contiguous()
