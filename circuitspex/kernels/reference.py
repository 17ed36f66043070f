"""The operators in plain PyTorch: what every kernel must give, in any dtype and on any device.

Shapes: G groups with a mask each, R rows in a group, B blocks of width D (heads, or groups of neurons), O outputs.
A gate of exactly 0 ignores what it gates, whatever it holds.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


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
    blocks = gates.shape[1]
    g = gates.to(x.dtype)[:, None, :, None]
    kept = torch.where(g == 0, 0, x.reshape(groups, rows, blocks, width // blocks) * g)
    out = kept.reshape(x.shape) @ weight.T
    if contribution is not None and rows:
        off = torch.einsum("gb,rbo->gro", 1 - gates.to(contribution.dtype), contribution)
        out = out + off.repeat(1, rows // len(contribution), 1).to(out.dtype)
    return _finished(out, bias, residual)


def input_projection(
    x: Float[Tensor, "G R I"],
    gates: Float[Tensor, "G B"],
    weight: Float[Tensor, "B*D I"],
    bias: Float[Tensor, " B*D"] | None,
) -> Float[Tensor, "G R B*D"]:
    """See ``ops.gated_input_projection``."""
    out = _finished(x @ weight.T, bias, None)
    blocks = gates.shape[1]
    split = out.reshape(*out.shape[:2], blocks, out.shape[2] // blocks)
    return torch.where((gates == 0)[:, None, :, None], 0, split).reshape(out.shape)


def attention(
    q: Float[Tensor, "G*P H queries D"],
    k: Float[Tensor, "G*P kv keys D"],
    v: Float[Tensor, "G*P kv keys D"],
    gates: Float[Tensor, "G H"],
    scale: float,
    softcap: float,
    window: int,
    query_start: int,
) -> Float[Tensor, "G*P H queries D"]:
    """See ``ops.gated_attention``."""
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, dim=1), v.repeat_interleave(repeat, dim=1)
    scores = (q @ k.transpose(-1, -2)) * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    places = torch.arange(query_start, query_start + q.shape[2], device=q.device)[:, None]
    keys = torch.arange(k.shape[2], device=q.device)[None]
    seen = keys <= places
    if window:
        seen &= keys > places - window
    z = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v
    on = (gates != 0).repeat_interleave(q.shape[0] // max(1, len(gates)), dim=0)
    return torch.where(on[:, :, None, None], z, 0)


def neurons_projection(
    x: Float[Tensor, "G R N"],
    gates: Float[Tensor, "G N"],
    baseline: Float[Tensor, "S N"] | None,
    weight: Float[Tensor, "O N"],
    bias: Float[Tensor, " O"] | None,
    residual: Float[Tensor, "G R O"] | None,
) -> Float[Tensor, "G R O"]:
    """See ``ops.gated_neurons_projection``."""
    g = gates.to(x.dtype)[:, None]
    if baseline is None:
        gated = torch.where(g == 0, 0, x * g)
    else:
        base = baseline.to(x.dtype).repeat(x.shape[1] // max(1, len(baseline)), 1)
        gated = torch.where(g == 0, base, torch.lerp(base.expand_as(x), x, g.expand_as(x)))
    return _finished(gated @ weight.T, bias, residual)


def _finished(
    out: Float[Tensor, "G R O"], bias: Float[Tensor, " O"] | None, residual: Float[Tensor, "G R O"] | None
) -> Float[Tensor, "G R O"]:
    if bias is not None:
        out = out + bias
    return out if residual is None else (residual + out).to(residual.dtype)
