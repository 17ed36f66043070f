"""The arithmetic of a forward pass, counted: multiplications and additions by part, for estimates only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from circuitspex.components import Component, ModelStructure
from circuitspex.models.protocol import Model
from circuitspex.typing import FloatArray


@dataclass(frozen=True)
class PassCost:
    """Operations of one row (one mask on one prompt).

    ``attention`` and ``mlp`` are per layer and position, ``pair`` per layer and pair of query and key, ``unembed`` per
    position. ``skips``: whether ablated MLPs are skipped and only the last position goes through the last layer's end.
    """

    n_layers: int
    attention: float
    mlp: float
    pair: float
    unembed: float
    gradients: bool
    skips: bool
    mlp_players: tuple[tuple[int, int], ...]  # player and layer of each MLP that acts at every position

    def plain(self, length: int) -> float:
        """A plain pass: every layer, every position, every logit."""
        return self.layers(0, self.n_layers, length, 0) + length * self.unembed

    def layers(self, start: int, stop: int, length: int, first_position: int) -> float:
        """The layers from ``start`` to ``stop`` at the positions from ``first_position`` on."""
        positions = length - first_position
        return (stop - start) * positions * (self.attention + self.mlp + length * self.pair)

    def ablated(self, first_layer: int, length: int, first_position: int, mlps_kept: FloatArray) -> float:
        """One row of a batch; ``mlps_kept (layers,)`` is the share of its masks that compute each MLP."""
        positions = length - first_position
        total = self.layers(first_layer, self.n_layers, length, first_position)
        if self.skips:
            total -= positions * self.mlp * float((1 - mlps_kept[first_layer:]).sum())
            total -= (positions - 1) * self.mlp * float(mlps_kept[-1])  # the tail
        return (total + (1 if self.skips else positions) * self.unembed) * (2 if self.gradients else 1)

    def mlps_kept(self, gates: FloatArray) -> FloatArray:
        """The share of these masks that compute each layer's MLP; all of them where gradients are wanted."""
        kept = np.ones(self.n_layers)
        if self.skips and not self.gradients:
            for player, layer in self.mlp_players:
                kept[layer] = float((gates[:, player] != 0).mean())
        return kept


def pass_cost(
    model: Model, structure: ModelStructure, components: Sequence[Component], *, gradients: bool, skips: bool
) -> PassCost:
    """Counted from the model's sizes; an MLP is taken to have a gate where the model's settings say so."""
    cfg = model.cfg
    d_model, d_head, heads = int(cfg.d_model), int(cfg.d_head), int(cfg.n_heads)
    kv_heads = int(getattr(cfg, "n_key_value_heads", None) or heads)
    d_mlp = int(getattr(cfg, "d_mlp", None) or 4 * d_model)
    gated = bool(getattr(cfg, "gated_mlp", False))
    return PassCost(
        n_layers=structure.n_layers,
        attention=2.0 * d_model * d_head * (2 * heads + 2 * kv_heads),
        mlp=2.0 * d_model * d_mlp * (3 if gated else 2),
        pair=4.0 * heads * d_head,
        unembed=2.0 * d_model * int(cfg.d_vocab),
        gradients=gradients,
        skips=skips,
        mlp_players=tuple((i, c.layer) for i, c in enumerate(components) if c.kind == "mlp" and c.position is None),
    )
