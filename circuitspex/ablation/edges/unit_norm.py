"""A norm without its weights, which its readers have taken into theirs; few passes over memory, in both directions."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuitspex.ablation.executors.norms import NormParts

Rows = Float[Tensor, "*rows width"]


def unit_norm(x: Rows, norm: NormParts) -> Rows:
    """``x / sqrt(mean(x^2) + eps)`` along the last axis, of ``x - mean(x)`` where the norm is centred."""
    if norm.centred:
        x = x - x.mean(-1, keepdim=True)
    found: Tensor = _Unit.apply(x, norm.eps)  # type: ignore[no-untyped-call]
    return found


class _Unit(torch.autograd.Function):
    """With ``y = r x`` and ``r = (mean(x^2) + eps)^(-1/2)``, the slope of x is ``r (dy - y mean(dy y))``."""

    @staticmethod
    def forward(ctx: Any, x: Rows, eps: float) -> Rows:
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        y: Tensor = x * r
        ctx.save_for_backward(y, r)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Rows) -> tuple[Rows, None]:
        y, r = ctx.saved_tensors
        (dy,) = grads
        along = torch.linalg.vecdot(dy, y).unsqueeze_(-1).div_(-y.shape[-1])
        return torch.addcmul(dy, y, along).mul_(r), None
