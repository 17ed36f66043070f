"""Norms of a dense transformer: the module's own function, and what it is made of where that is known.

What a norm is made of is not taken from its name: it is tried on random vectors beside the module.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float

Rows = Float[torch.Tensor, "*rows width"]
Width = Float[torch.Tensor, " width"]


@dataclass(frozen=True)
class NormParts:
    """``x / rms(x) * scale + shift``, of ``x - mean(x)`` where ``centred``; numbers in float32."""

    scale: Width
    shift: Width | None
    eps: float
    centred: bool


class Norm:
    """A norm as its module computes it, or as one operation that gives the same numbers.

    ``parts`` says what it is made of; None where it is none of the norms that are known.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.parts = _parts(module)
        self._call: Callable[[Rows], Rows] = self._one_operation() or module

    def __call__(self, x: Rows) -> Rows:
        """``[..., width]`` to the same."""
        return self._call(x)

    def _one_operation(self) -> Callable[[Rows], Rows] | None:
        if self.parts is None or self.parts.centred or self.parts.shift is not None:
            return None
        weight = getattr(self.module, "weight", None)
        # In half precision modules round in between, each in its own way, which one operation would not.
        if not isinstance(weight, torch.Tensor) or weight.dtype not in (torch.float32, torch.float64):
            return None
        for scale in (weight.detach(), 1 + weight.detach().float()):
            fast = functools.partial(
                F.rms_norm, normalized_shape=(len(weight),), weight=scale.to(weight.dtype), eps=self.parts.eps
            )
            # A few units in the last place: any other norm is further away than that.
            if _same(fast, self.module, weight, units=4):
                return fast
        return None


def _parts(module: torch.nn.Module) -> NormParts | None:
    weight = getattr(module, "weight", None)
    if isinstance(module, torch.nn.LayerNorm) and weight is None and len(module.normalized_shape) == 1:
        return NormParts(torch.ones(module.normalized_shape), None, module.eps, centred=True)
    if not isinstance(weight, torch.Tensor) or weight.ndim != 1 or not weight.is_floating_point():
        return None
    for parts in _candidates(module, weight):
        # In half precision the module rounds up to three times in between.
        if _same(functools.partial(_computed, parts), module, weight, units=4):
            return parts
    return None


def _candidates(module: torch.nn.Module, weight: Width) -> Iterator[NormParts]:
    named = (getattr(module, name, None) for name in ("variance_epsilon", "eps", "epsilon"))
    eps = next((float(value) for value in named if isinstance(value, float)), 0.0)
    bias = getattr(module, "bias", None)
    shift = bias.detach().float() if isinstance(bias, torch.Tensor) else None
    for scale in (weight.detach().float(), 1 + weight.detach().float()):
        for centred in (False, True):
            yield NormParts(scale, shift, eps, centred)


def _computed(parts: NormParts, x: Rows) -> Rows:
    wide = x.double()
    if parts.centred:
        wide = wide - wide.mean(-1, keepdim=True)
    out = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + parts.eps) * parts.scale.double()
    return (out if parts.shift is None else out + parts.shift.double()).to(x.dtype)


def _same(one: Callable[[Rows], Rows], module: torch.nn.Module, weight: Width, units: int) -> bool:
    """Whether both give the same within some units in the last place of the largest element of each row."""
    sample = torch.randn(4, len(weight), generator=torch.Generator().manual_seed(0))
    # A small row shows the epsilon, one with a mean of its own whether the mean is subtracted.
    sample = (sample * torch.tensor([[1.0], [1e-3], [3.0], [1.0]]) + torch.tensor([[0.0], [0.0], [0.0], [2.0]])).to(
        weight
    )
    with torch.no_grad():
        found, expected = one(sample).double(), module(sample).double()
    close = units * torch.finfo(weight.dtype).eps * expected.abs().amax(-1, keepdim=True)
    return bool(((found - expected).abs() <= close).all())
