"""The gates of one site as the fused executor reads them."""

from __future__ import annotations

import functools
import math

import torch
from jaxtyping import Float

from circuitspex.ablation.shapes import BaselineOfSite, Gates, UnitIndex
from circuitspex.typing import FloatArray


class SiteGate:
    """The gates of one site, and what it outputs at gate 0."""

    def __init__(self, index: UnitIndex, baseline: BaselineOfSite | None) -> None:
        self.index = index
        self.host_index = index.cpu().numpy()
        self.baseline = baseline if baseline is None else baseline.to(index.device)

    @functools.cached_property
    def width(self) -> int:
        """The largest number of units in a row that always share a gate: blocks of this width can be skipped."""
        units = self.index[0]
        ends = (units[1:] != units[:-1]).nonzero().flatten() + 1
        return math.gcd(*ends.tolist(), len(units))

    def of(self, gates: Gates, where: slice) -> Float[torch.Tensor, "masks one pos_or_1 units"]:
        """The gate of each unit at the positions ``where``."""
        index = self.index if len(self.index) == 1 else self.index[where]
        return gates.to(index.device)[:, index].unsqueeze(1)

    def values(self, host: FloatArray, where: slice) -> FloatArray:
        """The same on the host, ``(masks, pos or 1, units)``, from the gates ``(masks, players + 1)``."""
        index = self.host_index if len(self.host_index) == 1 else self.host_index[where]
        return host[:, index]

    def base(self, prompts: slice, where: slice) -> Float[torch.Tensor, "one prompts_or_1 pos *unit"] | None:
        """What the units output at gate 0, for these prompts and positions; None is zero."""
        if self.baseline is None:
            return None
        chosen = self.baseline if len(self.baseline) == 1 else self.baseline[prompts]
        return chosen[:, where].unsqueeze(0)
