"""The propagation rules of relevance patching (RelP), as a dense transformer with the same values and other slopes.

Jafari, Eberle, Khakzar and Nanda, 'RelP: Faithful and Efficient Circuit Discovery via Relevance Patching', 2025: the
slopes of attribution patching are replaced by the coefficients of layer-wise relevance propagation,

- LN-rule: the scale of a norm is a constant (Ali et al. 2022);
- AH-rule: so is the attention pattern (the same);
- Identity-rule: an activation function is a product with the number ``act(x) / x`` (Jafari et al. 2024);
- Half-rule: what passes back through a product of two activations is halved (Arras et al. 2019);
- 0-rule: linear maps are as they are (Montavon et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from circuitspex.ablation.executors.dense import DenseLayer, DenseMLP, DenseModel, NotDenseError, Rows
from circuitspex.ablation.executors.norms import Norm

_SMALL = 1e-6  # what is nearer to 0 than this divides as this


def with_relevance_rules(dense: DenseModel) -> DenseModel:
    """The same model; the derivatives of its outputs are the coefficients of relevance propagation.

    Raises:
        NotDenseError: a norm of an unknown kind, whose scale can't be held.
    """
    return replace(dense, layers=tuple(map(_layer, dense.layers)), norm=HeldScale(dense.norm))


def _layer(layer: DenseLayer) -> DenseLayer:
    mlp, attention = layer.mlp, layer.attention
    fixed: Any = (_Fixed(attention.q_norm), _Fixed(attention.k_norm))
    return replace(
        layer,
        norm_1=HeldScale(layer.norm_1),
        norm_2=HeldScale(layer.norm_2),
        post_1=None if layer.post_1 is None else HeldScale(layer.post_1),
        post_2=None if layer.post_2 is None else HeldScale(layer.post_2),
        attention=replace(attention, q_norm=fixed[0], k_norm=fixed[1]),
        mlp=_RuledMLP(mlp.up, mlp.gate, mlp.joined, mlp.out, mlp.activation, None),
    )


class HeldScale(Norm):
    """A norm whose scale is that of the pass and a constant for slopes."""

    def __init__(self, norm: Norm) -> None:
        if norm.parts is None:
            raise NotDenseError(f"a norm ({type(norm.module).__name__}) is of an unknown kind")
        self.module, self.parts, self._norm = norm.module, norm.parts, norm

    def __call__(self, x: Rows) -> Rows:
        """``[..., width]`` to the same."""
        assert self.parts is not None
        parts, value = self.parts, self._norm(x).detach()
        wide = x - x.mean(-1, keepdim=True) if parts.centred else x
        scale = torch.rsqrt(wide.detach().square().mean(-1, keepdim=True) + parts.eps)
        return valued(wide * scale * parts.scale.to(x), value)


class _Fixed:
    """What a norm of queries or keys gives, or what it would be given, as a constant: so is the pattern."""

    def __init__(self, norm: Norm | None) -> None:
        self._norm = norm
        self.parts = None if norm is None else norm.parts
        self.module = None if norm is None else norm.module

    def __call__(self, x: Rows) -> Rows:
        return (x if self._norm is None else self._norm(x)).detach()


class _RuledMLP(DenseMLP):
    """An MLP by the Identity-rule and, where it is gated, the Half-rule."""

    def neurons(self, x: Rows) -> Rows:
        """The activations of the neurons, ``[..., d_mlp]``."""
        if self.joined is not None:
            gate, up = self.joined(x).chunk(2, dim=-1)
        else:
            up = self.up(x)
            if self.gate is None:
                return _identity(self.activation, up)
            gate = self.gate(x)
        product = _identity(self.activation, gate) * up
        return valued(product / 2, product.detach())


def _identity(activation: Callable[[Rows], Rows], x: Rows) -> Rows:
    """``act(x)``, whose slope is ``act(x) / x``."""
    value = activation(x).detach()
    fixed = x.detach()
    away = torch.where(fixed.abs() < _SMALL, torch.where(fixed < 0, -_SMALL, _SMALL).to(fixed), fixed)
    return valued(x * (value / away), value)


def valued(slopes: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """A tensor of this value, with the slopes of another."""
    return value + (slopes - slopes.detach()).to(value.dtype)
