"""Attention of a dense transformer in plain PyTorch: rotary positions, masks, grouped queries, capped scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float

from circuitspex.ablation.executors.clean import Positions
from circuitspex.ablation.executors.dense import DenseAttention

ByPosition = Float[torch.Tensor, "rows pos heads d_head"]
ByHead = Float[torch.Tensor, "rows heads pos d_head"]


def rotated(x: ByPosition, places: Positions, start: int) -> ByPosition:
    """Rotary positions on the first dimensions of each head; ``x`` are the positions from ``start`` on."""
    if places.cos is None or places.sin is None:
        return x
    cos, sin = (part[:, start : start + x.shape[1], None].to(x.device) for part in (places.cos, places.sin))
    size = cos.shape[-1]
    middle = size // 2
    # Split and not sliced: a slice's gradient is written into zeros of the whole size.
    first, second, rest = torch.split(x, [middle, size - middle, x.shape[-1] - size], dim=-1)
    turned = [
        torch.addcmul(first * cos[..., :middle], second, sin[..., :middle], value=-1),
        torch.addcmul(second * cos[..., middle:], first, sin[..., middle:]),
    ]
    return torch.cat([*turned, rest] if size < x.shape[-1] else turned, dim=-1)


def attention(q: ByHead, k: ByHead, v: ByHead, a: DenseAttention, places: Positions) -> ByHead:
    """Attention of the last ``q.shape[2]`` positions on all of ``k``'s."""
    queries, keys = q.shape[2], k.shape[2]
    allowed = places.allowed
    if allowed is not None:
        allowed = allowed[-queries:, -keys:].to(q.device)
    elif 1 < queries < keys or (a.softcap and queries > 1):
        allowed = torch.ones((keys, keys), dtype=torch.bool, device=q.device).tril()[-queries:]
    if not a.softcap:
        causal = allowed is None and queries > 1
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=allowed, is_causal=causal, scale=a.scale, enable_gqa=a.n_heads != a.n_kv
        )
    k, v = (part.repeat_interleave(a.n_heads // a.n_kv, dim=1) for part in (k, v))
    if allowed is None:  # one query, at the last position
        allowed = torch.ones((queries, keys), dtype=torch.bool, device=q.device)
    scores = a.softcap * torch.tanh(q @ k.transpose(-1, -2) * (a.scale / a.softcap))
    return scores.masked_fill(~allowed, -torch.inf).softmax(-1) @ v
