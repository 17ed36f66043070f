"""A dense model of half precision computed in float32, one matrix of weights at a time."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from circuitspex.ablation.executors.clean import CleanPass
from circuitspex.ablation.executors.dense import DenseLayer, DenseModel
from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.ablation.executors.hooks import GroupForward
from circuitspex.ablation.executors.linear import Inputs, Linear, Outputs
from circuitspex.ablation.executors.norms import Norm

# Numbers of a weight that are there in float32 at once: 256 MB.
_AT_ONCE = 2**26


def of_float32(
    dense: DenseModel, clean: CleanPass, hooks: GroupForward, n_players: int, prompts: slice
) -> FusedForward:
    """The fast way in float32, by plain PyTorch, for these prompts of a group.

    Args:
        dense: the model's parts, of half precision.
        clean: an unablated pass over these prompts in float32.
        hooks: the sites, the baselines in float32 and the positions that are read, of the whole group.
        n_players: how many components there are.
        prompts: which prompts of the group.
    """
    wide = replace(
        dense,
        layers=tuple(_layer(layer) for layer in dense.layers),
        norm=_norm(dense.norm),
        unembed=_InFloat32(dense.unembed.weight, dense.unembed.bias),
    )
    baselines = {
        hook: each if each is None or len(each) == 1 else each[prompts] for hook, each in hooks.baselines.items()
    }
    return _PlainForward(wide, clean, hooks.sites, n_players, baselines, hooks.reads[prompts])


class _PlainForward(FusedForward):
    """No kernels: these read weights as they are."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._card = None


class _InFloat32(Linear):
    """The map with its weight in float32, of which no more is there at once than a part of it."""

    def __call__(self, x: Inputs) -> Outputs:
        x = x.float()
        outputs, inputs = self.weight.shape
        rows = max(1, _AT_ONCE // inputs)
        parts = [
            F.linear(
                x, self.weight[i : i + rows].float(), None if self.bias is None else self.bias[i : i + rows].float()
            )
            for i in range(0, outputs, rows)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _layer(layer: DenseLayer) -> DenseLayer:
    a, mlp = layer.attention, layer.mlp
    q, k, v, o = (_InFloat32(part.weight, part.bias) for part in (a.q, a.k, a.v, a.o))
    up, out = _InFloat32(mlp.up.weight, mlp.up.bias), _InFloat32(mlp.out.weight, mlp.out.bias)
    gate = None if mlp.gate is None else _InFloat32(mlp.gate.weight, mlp.gate.bias)
    return replace(
        layer,
        norm_1=_norm(layer.norm_1),
        norm_2=_norm(layer.norm_2),
        post_1=None if layer.post_1 is None else _norm(layer.post_1),
        post_2=None if layer.post_2 is None else _norm(layer.post_2),
        attention=replace(
            a,
            q=q,
            k=k,
            v=v,
            o=o,
            joined=None,
            q_norm=None if a.q_norm is None else _norm(a.q_norm),
            k_norm=None if a.k_norm is None else _norm(a.k_norm),
        ),
        mlp=replace(mlp, up=up, gate=gate, out=out, joined=None),
    )


def _norm(norm: Norm) -> Norm:
    return Norm(copy.deepcopy(norm.module).float()) if isinstance(norm, Norm) else norm
