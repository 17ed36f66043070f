"""Placing the vertices of a layered graph across their rows, with few crossings and short links.

Input: rows of vertices (0, 1, 2, …) from the bottom up, how far each vertex reaches to the left and right of its
centre, and links between vertices of neighbouring rows or of one row. Output: an x for each vertex; within a row, no
two overlap.

The order comes from barycentre sweeps (Sugiyama, Tagawa and Toda 1981) that keep the best order met. Positions given an
order are the weighted least-squares fit to the positions of the neighbours under the separations (isotonic
regression by pool-adjacent-violators). Nothing is random: equal input gives equal output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SWEEPS = 16
STRAIGHTENING = 30
MANY_ROWS = 400
"""Graphs of more rows are swept a few times only."""


@dataclass(frozen=True)
class Link:
    """A link of two vertices; the heavier, the straighter and shorter it gets."""

    first: int
    second: int
    weight: float = 1.0


@dataclass(frozen=True)
class Reach:
    """How far a vertex reaches to the left and to the right of its centre."""

    left: float
    right: float


def arrange(rows: Sequence[Sequence[int]], reach: Sequence[Reach], links: Sequence[Link]) -> list[float]:
    """The x of every vertex. The middle of what is drawn is 0."""
    graph = _Graph(rows, reach, links)
    linked = graph.is_linked
    x = graph.order([np.array([v for v in row if linked[v]], int) for row in rows])
    if linked.any():
        x[linked] -= ((x - graph.left)[linked].min() + (x + graph.right)[linked].max()) / 2
    for row in rows:
        graph.add_loners(row, x)
    return list(map(float, x))


def separated(wanted: Floats, apart: Floats, weights: Floats | None = None) -> Floats:
    """The places nearest to the wanted ones, by weighted least squares, in their order and far enough apart.

    Args:
        wanted: ``(n,)``.
        apart: ``(n - 1,)``, how far each must at least be from the one before it.
        weights: ``(n,)``, how much each wants its place; by default all the same.
    """
    if len(wanted) < 2:
        return wanted
    offsets = np.append(0.0, apart.cumsum())
    nearest: Floats = isotonic_regression(wanted - offsets, weights=weights).x
    nearest += offsets
    return nearest


Pull = tuple[Ints, Ints, Floats]
"""The places in their row of the vertices that are drawn, by which others, and how much: an entry for each link."""
MOST_PAIRS = 2_000_000
"""Where one gap between rows has more pairs of links than this, its crossings are not counted."""


def _by_row(values: Any, row: Ints, n_rows: int) -> list[Any]:
    """The entries of each row, in the order that they have."""
    order = row.argsort(kind="stable")
    return np.split(values[order], np.searchsorted(row[order], np.arange(1, n_rows)))


class _Graph:
    def __init__(self, rows: Sequence[Sequence[int]], reach: Sequence[Reach], links: Sequence[Link]) -> None:
        self.left, self.right = np.array([(one.left, one.right) for one in reach]).reshape(-1, 2).T
        row_of = np.zeros(len(reach), int)
        for r, row in enumerate(rows):
            row_of[row] = r
        ends = np.array([(link.first, link.second) for link in links if link.first != link.second], int).reshape(-1, 2)
        self.first, self.second = ends.T
        self.weight = np.array([link.weight for link in links if link.first != link.second])
        self.is_linked = np.isin(np.arange(len(reach)), ends)
        upward = np.take_along_axis(ends, row_of[ends].argsort(axis=1, kind="stable"), axis=1)
        low, high = row_of[upward].T
        across = upward[high != low]
        self.gaps = [part.T for part in _by_row(across, low[high != low], len(rows)) if len(part)]
        drawn, towards, weight = ends.ravel(), ends[:, ::-1].ravel(), self.weight.repeat(2)
        # A vertex by its place in its row as given: sums over a row then cost what the row has, not what the graph has.
        self.place_of = np.zeros(len(reach), int)
        for row in rows:
            self.place_of[row] = np.arange(len(row))
        climb = row_of[towards] - row_of[drawn]
        near = np.abs(climb) <= 1
        entries = (drawn[near], towards[near], weight[near], climb[near])
        parts = [_by_row(values, row_of[entries[0]], len(rows)) for values in entries]
        self.pulls: list[dict[int, Pull]] = []  # of each row: by the row below (-1), above (1), or both (0)
        for here, others, much, up in zip(*parts, strict=True):
            chosen = {side: up * side >= 0 for side in (-1, 0, 1)}
            self.pulls.append({side: (self.place_of[here[at]], others[at], much[at]) for side, at in chosen.items()})

    def order(self, rows: list[Ints]) -> Floats:
        """Sweep up and down; the positions of the best order, straightened."""
        x = self.centred(rows)
        sweeps, straightening = (SWEEPS, STRAIGHTENING) if len(rows) <= MANY_ROWS else (4, 6)
        best, best_cost = list(rows), self.cost(x)
        for sweep in range(sweeps):
            side = -1 if sweep % 2 == 0 else 1
            for r in range(len(rows))[::-side]:
                wanted, weights = self.wanted(rows[r], x, self.pulls[r][side])
                at = wanted.argsort(kind="stable")
                rows[r] = rows[r][at]
                self.place(rows[r], wanted[at], weights[at], x)
            cost = self.cost(x)
            if cost < best_cost:
                best, best_cost = list(rows), cost
        x = self.centred(best)
        for sweep in range(straightening):
            for r in range(len(best))[:: 1 if sweep % 2 else -1]:
                self.place(best[r], *self.wanted(best[r], x, self.pulls[r][0]), x)
        return x

    def centred(self, rows: Sequence[Ints]) -> Floats:
        """The vertices of each row beside each other, in the middle."""
        x = np.zeros(len(self.left))
        for row in rows:
            self.place(row, np.zeros(len(row)), np.ones(len(row)), x)
        return x

    def wanted(self, row: Ints, x: Floats, pull: Pull) -> tuple[Floats, Floats]:
        """Where each vertex would like to be, given those that draw it, and how much."""
        drawn, towards, weight = pull
        places = self.place_of[row]
        size = int(places.max(initial=-1)) + 1
        sums = np.bincount(drawn, x[towards] * weight, minlength=size)[places]
        total = np.bincount(drawn, weight, minlength=size)[places]
        weights = total + (
            0.02 + 0.02 * total
        )  # a little to the middle: parts without links between them stay together
        return np.where(total > 0, sums / weights, x[row]), weights

    def place(self, row: Ints, wanted: Floats, weights: Floats, x: Floats) -> None:
        """Give a row's vertices, in their order, the positions nearest to what they want that do not overlap."""
        x[row] = separated(wanted, self.left[row[1:]] + self.right[row[:-1]], weights)

    def cost(self, x: Floats) -> float:
        """Crossings, and a little for length."""
        crossings = 0
        for low, high in self.gaps:
            if len(low) ** 2 > MOST_PAIRS:
                continue
            crossings += int(((x[low][:, None] - x[low]) * (x[high][:, None] - x[high]) < -1e-6).sum()) // 2
        return crossings + float(np.abs(x[self.first] - x[self.second]) @ self.weight) / 200

    def add_loners(self, row: Sequence[int], x: Floats) -> None:
        """Put the vertices without links into gaps between the others near the middle, or at the nearer end."""
        placed = [v for v in row if self.is_linked[v]]
        if not placed:
            self.place(np.array(row, int), np.zeros(len(row)), np.ones(len(row)), x)
            return
        for v in row:
            if self.is_linked[v]:
                continue
            placed.sort(key=x.__getitem__)
            low = np.append(-np.inf, x[placed] + self.right[placed]) + self.left[v]
            high = np.append(x[placed] - self.left[placed], np.inf) - self.right[v]
            spots = np.clip(0.0, low, high)[low <= high]
            x[v] = min(spots, key=lambda spot: (abs(spot), spot))
            placed.append(v)
