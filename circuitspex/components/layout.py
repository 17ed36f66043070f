"""Where the units of a kind lie in the activation that passes a hook, when they do not lie there plainly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Layout:
    """From what passes a hook to ``[rows, pos, unit, width]``, and back.

    Latent attention has heads before positions, ``[rows, head, pos, d_head]``; an activation may be flat, ``[rows, pos,
    head * d_head]``; and gated attention has a query and a gate side by side for each head.

    Args:
        n_units: into how many equal parts the numbers of a token are cut, in their order.
        pos: the axis of positions; rows are axis 0.
        start, stop: which numbers of each part are the unit's own; all of them by default.
    """

    n_units: int
    pos: int = 1
    start: int = 0
    stop: int | None = None

    def read(self, activation: torch.Tensor) -> torch.Tensor:
        """``[rows, pos, unit, width]`` of what passes the hook."""
        return self._parts(activation)[..., self.start : self.stop]

    def write(self, activation: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
        """The activation with these units in place of its own."""
        import torch

        if self.start or self.stop is not None:
            parts = self._parts(activation)
            rest = [] if self.stop is None else [parts[..., self.stop :]]
            units = torch.cat([parts[..., : self.start], units, *rest], dim=-1)
        moved = activation.movedim(self.pos, 1)
        return units.reshape(moved.shape).movedim(1, self.pos)

    def _parts(self, activation: torch.Tensor) -> torch.Tensor:
        moved = activation.movedim(self.pos, 1)
        return moved.reshape(*moved.shape[:2], self.n_units, -1)
