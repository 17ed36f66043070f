"""The passes of ``ByRow`` through the parts of a dense transformer, from the first layer and position that differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from circuitspex.ablation.executors.agreement import parts_of
from circuitspex.ablation.executors.by_row import ByRow, RowGates, RowPrompts
from circuitspex.ablation.executors.clean import clean_pass
from circuitspex.ablation.executors.dense_pass import DensePass
from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.ablation.shapes import Activation, ReadLogits, Shared
from circuitspex.components import ModelStructure
from circuitspex.models.float32_products import exact_products
from circuitspex.models.in_float32 import is_half
from circuitspex.models.rounding import differ
from circuitspex.models.state import ModelState


class _RowPass(DensePass):
    """One mask for all rows, whose gates are then taken row by row; the axis of prompts is that of rows."""

    def __init__(self, given: Any, gates: RowGates, prompts: Any, first: int, instead: Mapping[Any, Any]) -> None:
        super().__init__(given, gates, None, prompts, first)
        self._instead = instead

    def _gated(self, index: int, kind: str, z: Shared, where: slice) -> Shared:
        gate = self._given.gates.get((index, kind))
        if gate is None or self._gates is None:
            return z
        g = gate.of(self._gates, where).movedim(1, 0)  # 1, rows, pos or 1, units
        if not g.requires_grad and bool((g == 1).all()):
            return z
        while g.ndim < z.ndim:
            g = g.unsqueeze(-1)
        if (index, kind) in self._instead:
            base = self._instead[index, kind][:, where].unsqueeze(0).to(z.device)
        else:
            base = gate.base(self._prompts, where)
        return z * g.to(z.dtype) if base is None else torch.lerp(base.to(z.dtype), z, g.to(z.dtype))


class FusedByRow:
    """``ByRow.rows`` of a dense transformer, with less to compute; use ``fused_by_row`` to make one."""

    def __init__(self, fused: FusedForward, by_row: ByRow) -> None:
        self._fused = fused
        self._kinds = {site.hook: (site.layer, site.kind) for site in by_row.sites}

    def prepare(self, layers: Collection[int], *, positions: bool) -> None:
        """Compute what passes start from, at these layers, and at later positions than the first: in one pass."""
        self._fused.share(list(layers), positions=positions)

    def rows(
        self,
        gates: RowGates,
        prompts: RowPrompts,
        start: int,
        first_position: int = 0,
        *,
        instead: Mapping[str, Activation] | None = None,
    ) -> ReadLogits:
        """As ``ByRow.rows``; nothing may be ablated before ``start``, nor before the first position."""
        given = self._fused._given
        first = min(first_position, given.n_positions - given.tail)
        self._fused.share([start], positions=first > 0)
        by_kind = {self._kinds[hook]: each for hook, each in (instead or {}).items()}
        rows: Any = prompts  # on the CPU, where indices serve tensors on any device
        h = given.residuals[start][rows, first:].unsqueeze(0)
        run = _RowPass(given, gates, rows, first, by_kind)
        last = len(given.dense.layers) - 1
        for index in range(start, last + 1):
            h = h.to(given.dense.layers[index].device)
            h = run.block(index, h, given.tail if index == last else None)
        logits: ReadLogits = given.unembed(given.dense.norm(given.read(h, rows)))[0]
        return logits


def fused_by_row(by_row: ByRow, structure: ModelStructure, n_players: int, state: ModelState) -> FusedByRow | None:
    """A fast way that gave this model's own logits in a trial; None where there is none, or in half precision."""
    parameter = next(iter(by_row.model.parameters()))
    members = [component for site in by_row.sites for _, component in site.members]
    if is_half(parameter.dtype) or state.foreign or not all(each.about.fused for each in members):
        return None
    try:
        dense = parts_of(by_row.model, structure, None, state)
        clean = clean_pass(by_row.model, by_row.tokens)
        made = FusedByRow(FusedForward(dense, clean, by_row.sites, n_players, by_row.baselines, by_row.reads), by_row)
        return made if _agree(made, by_row, n_players) else None
    except Exception:  # no dense transformer, or whatever an unknown architecture raises: plain hooks still work
        return None


def _agree(fast: FusedByRow, plain: ByRow, n_players: int) -> bool:
    """Whether both give the same logits of a row with half of the gates off and of one with gates in between."""
    prompts = torch.arange(2) % len(plain.tokens)
    parameter = next(iter(plain.model.parameters()))
    drawn = torch.rand(2, n_players + 1, generator=torch.Generator().manual_seed(0))
    drawn[0] = drawn[0].round()
    drawn[:, -1] = 1
    gates = drawn.to(parameter)
    with torch.no_grad(), exact_products():
        first = min(site.layer for site in plain.sites)
        return differ(fast.rows(gates, prompts, first).to(parameter.device), plain.rows(gates, prompts, first)) is None
