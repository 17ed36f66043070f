"""The operators in plain PyTorch: what every kernel must give, on any device.

Shapes: G masks, R rows under each (prompts times positions), B blocks of width D (heads, or groups of neurons), S rows
that a baseline has, a divisor of R: row r takes ``r % S``. What a block that is off holds is not read, whatever it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}
"""The activation functions that the kernels have."""


def norm(
    x: Float[Tensor, "G R I"],
    scale: Float[Tensor, " I"],
    shift: Float[Tensor, " I"] | None,
    residual: Float[Tensor, "G R I"] | None,
    masks: Int[Tensor, " some"] | None,
    eps: float,
    centred: bool,
    dtype: torch.dtype,
) -> Float[Tensor, "some R I"]:
    """See ``operators.norm``."""
    x = x if masks is None else x[masks.long()]
    wide = x if x.dtype == torch.float64 else x.float()
    if centred:
        wide = wide - wide.mean(-1, keepdim=True)
    out = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * scale.to(wide.dtype)
    if shift is not None:
        out = out + shift.to(wide.dtype)
    return (out if residual is None else out + residual.to(wide.dtype)).to(dtype)


def add_norm(
    h: Float[Tensor, "G R I"],
    out: Float[Tensor, "some R I"],
    slots: Int[Tensor, " G"] | None,
    gain: Float[Tensor, " G"] | None,
    baseline: Float[Tensor, "S I"] | None,
    scale: Float[Tensor, " I"],
    shift: Float[Tensor, " I"] | None,
    eps: float,
    centred: bool,
    dtype: torch.dtype,
) -> tuple[Float[Tensor, "G R I"], Float[Tensor, "G R I"]]:
    """See ``operators.add_norm``."""
    rows = h.shape[1]
    wide = h if h.dtype == torch.float64 else h.float()
    if slots is None:
        added = out.to(wide.dtype)
    elif not len(out):  # no mask has a place in it
        added = torch.zeros_like(wide)
    else:
        added = torch.where((slots < 0)[:, None, None], 0, out[slots.clamp_min(0).long()].to(wide.dtype))
    if gain is not None:
        g = gain.to(wide.dtype)[:, None, None]
        added = torch.where(g == 0, 0, g * added)
        if baseline is not None:
            added = added + (1 - g) * baseline.to(wide.dtype).repeat(rows // max(1, len(baseline)), 1)
    h = (wide + added).to(h.dtype)
    return h, norm(h, scale, shift, None, None, eps, centred, dtype)


def project_in(
    x: Float[Tensor, "G R I"],
    weight: Float[Tensor, "B*D I"],
    bias: Float[Tensor, " B*D"] | None,
    gate_weight: Float[Tensor, "B*D I"] | None,
    gate_bias: Float[Tensor, " B*D"] | None,
    gates: Float[Tensor, "G B"],
    baseline: Float[Tensor, "S B*D"] | None,
    activation: str,
) -> Float[Tensor, "G R B*D"]:
    """See ``operators.project_in``; zeros where a block is off."""
    out = F.linear(x, weight, bias)
    if gate_weight is None:
        out = ACTIVATIONS[activation](out)
    else:
        out = ACTIVATIONS[activation](F.linear(x, gate_weight, gate_bias)) * out
    if baseline is not None:
        out = out - baseline.repeat(x.shape[1] // max(1, len(baseline)), 1)
    split = out.reshape(*out.shape[:2], gates.shape[1], out.shape[2] // max(1, gates.shape[1]))
    g = gates.to(out.dtype)[:, None, :, None]
    return torch.where(g == 0, 0, split * g).reshape(out.shape)


def activate(
    up: Float[Tensor, "G R N"],
    gate: Float[Tensor, "G R N"] | None,
    gates: Float[Tensor, "G N"] | None,
    baseline: Float[Tensor, "S N"] | None,
    activation: str,
) -> Float[Tensor, "G R N"]:
    """See ``operators.activate``."""
    wide = up if up.dtype == torch.float64 else up.float()
    out = ACTIVATIONS[activation](wide if gate is None else gate.to(wide.dtype))
    if gate is not None:
        out = out * wide
    if gates is not None:
        g = gates.to(wide.dtype)[:, None]
        if baseline is not None:
            out = out - baseline.to(wide.dtype).repeat(up.shape[1] // max(1, len(baseline)), 1)
        out = torch.where(g == 0, 0, g * out)
    return out.clone() if out is up else out.to(up.dtype)  # an operator must not return what it was given


def project_out(
    z: Float[Tensor, "G R B*D"],
    weight: Float[Tensor, "O B*D"],
    gates: Float[Tensor, "G B"],
    added: Float[Tensor, "S O"] | None,
    residual: Float[Tensor, "G R O"] | None,
) -> Float[Tensor, "G R O"]:
    """See ``operators.project_out``."""
    groups, rows, _ = z.shape
    on = (gates != 0)[:, None, :, None]
    split = z.reshape(groups, rows, gates.shape[1], z.shape[2] // max(1, gates.shape[1]))
    out = torch.where(on, split, 0).reshape(z.shape) @ weight.T
    if added is not None:
        out = out + added.to(out.dtype).repeat(rows // max(1, len(added)), 1)
    return out if residual is None else (residual + out).to(residual.dtype)


def attention(
    q: Float[Tensor, "G*P queries H D"],
    k: Float[Tensor, "G*P keys kv D"],
    v: Float[Tensor, "G*P keys kv D"],
    cos: Float[Tensor, "pos rotary"] | None,
    sin: Float[Tensor, "pos rotary"] | None,
    before_k: Float[Tensor, "P before kv D"] | None,
    before_v: Float[Tensor, "P before kv D"] | None,
    gates: Float[Tensor, "G queries_or_1 H"] | None,
    baseline: Float[Tensor, "P_or_1 queries H*D"] | None,
    scale: float,
    softcap: float,
    window: int,
) -> Float[Tensor, "G*P queries H*D"]:
    """See ``operators.attention``."""
    sequences, queries, heads, _ = q.shape
    start = 0 if before_k is None else before_k.shape[1]
    n_keys = start + k.shape[1]
    if cos is not None and sin is not None:
        q, k = (_turned(part, cos, sin, n_keys - part.shape[1]) for part in (q, k))
    if before_k is not None and before_v is not None:
        masks = sequences // len(before_k)
        k, v = (
            torch.cat([old.to(new.dtype).repeat(masks, 1, 1, 1), new], dim=1)
            for old, new in ((before_k, k), (before_v, v))
        )
    repeat = heads // k.shape[2]
    k, v = (part.repeat_interleave(repeat, dim=2) for part in (k, v))
    scores = torch.einsum("nqhd,nkhd->nhqk", q, k) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    at = torch.arange(n_keys, device=q.device)
    seen = at[None] <= at[-queries:, None]
    if window:
        seen &= at[None] > at[-queries:, None] - window
    z = torch.einsum("nhqk,nkhd->nqhd", scores.masked_fill(~seen, -torch.inf).softmax(-1), v)
    if gates is None:
        return z.flatten(2)
    g = gates.to(z.dtype).repeat_interleave(sequences // max(1, len(gates)), dim=0)[..., None]
    if baseline is not None:
        z = z - baseline.repeat(sequences // max(1, len(baseline)), 1, 1).reshape(z.shape)
    return torch.where(g == 0, 0, g * z).flatten(2)


def _turned(x: Float[Tensor, "n t h D"], cos: Tensor, sin: Tensor, start: int) -> Float[Tensor, "n t h D"]:
    """Rotary positions on the first ``rotary`` numbers of each head, halves beside each other."""
    size = cos.shape[1]
    c, s = (part[start : start + x.shape[1], None].to(x.dtype) for part in (cos, sin))
    part = x[..., :size]
    first, second = part.chunk(2, dim=-1)
    return torch.cat([part * c + torch.cat([-second, first], dim=-1) * s, x[..., size:]], dim=-1)
