"""Main effects of edges at every size, from slopes at masks of mixed shares.

A path from all gates closed to all open gives a start: the slope of the metric in a gate, on average over the path, is
what integrated gradients gives (Sundararajan, Taly and Yan 2017) with gates in place of inputs. But an edge that helps
the whole model may do nothing in a circuit of a hundredth of its edges, and the other way round: the main effect at a
size is the average over masks whose share of open edges is near that size, on a logarithmic scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from circuitspex.typing import FloatArray

WIDTH = 1.0
"""A mask whose share is e times as large, or as small, weighs 1/e as much."""
PATH = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The gates, equal for all edges, at which slopes are taken first: midpoints from closed to open."""


@dataclass
class Slopes:
    """Slopes ``(K, n)`` of all gates at K masks or gates, and the share ``(K,)`` of edges that each has open."""

    n_players: int
    rows: list[FloatArray] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    passes: int = 0
    """How many of them took a pass with gradients."""

    def add(self, slopes: FloatArray, shares: FloatArray, *, gradients: bool = True) -> None:
        """Those of further masks, by gradients or by differences."""
        self.passes += len(slopes) if gradients else 0
        self.rows += [np.asarray(row, dtype=np.float32) for row in slopes]
        self.shares += [float(share) for share in shares]

    def mean(self, first: int | None = None) -> FloatArray:
        """The average ``(n,)`` over all masks, or over the first so many."""
        return np.asarray(np.mean(np.stack(self.rows[:first]), axis=0, dtype=np.float64))

    def size(self, first: int) -> FloatArray:
        """The average size ``(n,)`` of slopes over the first so many masks, whatever their signs."""
        return np.asarray(np.mean(np.abs(np.stack(self.rows[:first])), axis=0, dtype=np.float64))

    def near(self, share: float, first: int | None = None) -> FloatArray:
        """The average ``(n,)`` at a share, over the first so many: a mask of another weighs ``exp(-|log ratio| /
        WIDTH)``."""
        weights = np.exp(-np.abs(np.log(np.array(self.shares[:first])) - np.log(share)) / WIDTH)
        out = np.zeros(self.n_players)
        for weight, row in zip(weights / weights.sum(), self.rows[:first], strict=True):
            out += weight * row
        return out


def ranked(scores: FloatArray, opposing: float = 0.0) -> FloatArray:
    """What edges are ordered by: helping ones by their effect, opposing ones by ``opposing`` times its size.

    With 0 the opposing ones come last, most opposing at the end: most of the behaviour. With 1 edges are ordered by the
    size of their effect, as what makes the model itself has edges of both kinds.
    """
    return np.asarray(scores if not opposing else np.where(scores >= 0, scores, -opposing * scores))
