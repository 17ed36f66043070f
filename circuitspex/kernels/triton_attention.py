"""Attention as a Triton kernel: the softmax is built up over tiles of keys; ablated heads are skipped."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from jaxtyping import Float

from circuitspex.kernels.launch import empty, next_power, precision, upcast


@triton.jit
def _attention_kernel(
    q, k, v, gates, out,
    H, KV, TQ, TK, D, P, scale, softcap, window, query_start,
    SOFTCAP: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    sequence = (tl.program_id(0) // H).to(tl.int64)
    head = tl.program_id(0) % H
    rows = tl.program_id(1) * BM + tl.arange(0, BM)
    width = tl.arange(0, BD)
    places = query_start + rows
    inside = (rows[:, None] < TQ) & (width[None, :] < D)
    at = (sequence * H + head) * TQ * D + rows[:, None].to(tl.int64) * D + width[None, :]
    on = tl.load(gates + (sequence // P) * H + head) != 0
    a = tl.load(q + at, mask=inside, other=0.0)
    if UPCAST:
        a = a.to(tl.float32)
    keys_at = (sequence * KV + head // (H // KV)) * TK * D
    acc = tl.zeros((BM, BD), dtype=tl.float32)
    largest = tl.full((BM,), -1e30, dtype=tl.float32)
    total = tl.zeros((BM,), dtype=tl.float32)
    last = tl.minimum(TK, query_start + (tl.program_id(1) + 1) * BM)
    # An ablated head has no steps: its zeros are written below like any other result.
    steps = tl.where(on, tl.cdiv(last, BN), 0)
    for i in range(steps):
        keys = i * BN + tl.arange(0, BN)
        part = tl.load(
            k + keys_at + keys[None, :].to(tl.int64) * D + width[:, None],
            mask=(keys[None, :] < TK) & (width[:, None] < D),
            other=0.0,
        )
        if UPCAST:
            part = part.to(tl.float32)
        scores = tl.dot(a, part, input_precision=PRECISION) * scale
        if SOFTCAP:
            # tanh from exponentials of a number that is never positive, so that none overflows
            y = scores / softcap
            e = tl.exp(-2 * tl.abs(y))
            scores = softcap * tl.where(y < 0, -1.0, 1.0) * (1 - e) / (1 + e)
        seen = (keys[None, :] <= places[:, None]) & (keys[None, :] < TK)
        if WINDOW:
            seen = seen & (keys[None, :] > places[:, None] - window)
        scores = tl.where(seen, scores, -1e30)
        new = tl.maximum(largest, tl.max(scores, 1))
        weights = tl.where(seen, tl.exp(scores - new[:, None]), 0.0)
        shrink = tl.exp(largest - new)
        values = tl.load(
            v + keys_at + keys[:, None].to(tl.int64) * D + width[None, :],
            mask=(keys[:, None] < TK) & (width[None, :] < D),
            other=0.0,
        )
        rounded = weights.to(values.dtype)
        if UPCAST:
            rounded, values = rounded.to(tl.float32), values.to(tl.float32)
        acc = acc * shrink[:, None] + tl.dot(rounded, values, input_precision=PRECISION)
        total = total * shrink + tl.sum(weights, 1)
        largest = new
    z = acc / tl.where(total > 0, total, 1.0)[:, None]
    tl.store(out + at, z.to(out.dtype.element_ty), mask=inside)


def attention(
    q: Float[torch.Tensor, "G*P H queries D"],
    k: Float[torch.Tensor, "G*P kv keys D"],
    v: Float[torch.Tensor, "G*P kv keys D"],
    gates: Float[torch.Tensor, "G H"],
    scale: float,
    softcap: float,
    window: int,
    query_start: int,
) -> Float[torch.Tensor, "G*P H queries D"]:
    """See ``ops.gated_attention``."""
    sequences, heads, queries, width = q.shape
    out = empty(tuple(q.shape), q)
    if out.numel() == 0:
        return out
    q, k, v, gates = (tensor.contiguous() for tensor in (q, k, v, gates))
    tile = next_power(queries, most=64)
    grid = (sequences * heads, triton.cdiv(queries, tile))
    _attention_kernel[grid](
        q, k, v, gates, out,
        heads, k.shape[1], queries, k.shape[2], width, sequences // len(gates), scale, softcap, window, query_start,
        softcap > 0, window > 0, precision(q.dtype), upcast(q.dtype),
        BM=tile, BN=next_power(k.shape[2], most=64), BD=next_power(width, most=256), num_warps=4, num_stages=2,
    )  # fmt: skip
    return out
