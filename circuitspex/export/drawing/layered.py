"""Placing the vertices of a layered graph across their rows, with few crossings and short links.

Input: rows of vertices (0, 1, 2, …) from the bottom up, how far each vertex reaches to the left and right of its
centre, and links between vertices of neighbouring rows or of one row. Output: an x for each vertex; within a row, no
two overlap.

The order comes from barycentre sweeps (Sugiyama, Tagawa and Toda 1981) that keep the best order met. Positions given an
order are the weighted least-squares fit to the positions of the neighbours under the separations (isotonic regression).
Nothing is random: equal input gives equal output.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SWEEPS = 16
STRAIGHTENING = 30


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
    linked = [[v for v in row if graph.neighbours[v]] for row in rows]
    x = graph.order(linked)
    if any(linked):
        used = [v for row in linked for v in row]
        middle = (min(x[v] - reach[v].left for v in used) + max(x[v] + reach[v].right for v in used)) / 2
        for v in used:
            x[v] -= middle
    for row, inside in zip(rows, linked, strict=True):
        graph.add_loners(row, inside, x)
    return x


class _Graph:
    def __init__(self, rows: Sequence[Sequence[int]], reach: Sequence[Reach], links: Sequence[Link]) -> None:
        self.reach = reach
        self.links = [link for link in links if link.first != link.second]
        self.row_of = {v: r for r, row in enumerate(rows) for v in row}
        self.neighbours: list[list[tuple[int, float]]] = [[] for _ in reach]
        for link in self.links:
            self.neighbours[link.first].append((link.second, link.weight))
            self.neighbours[link.second].append((link.first, link.weight))
        self.gaps: dict[int, list[Link]] = {}
        for link in self.links:
            low, high = sorted((link.first, link.second), key=lambda v: self.row_of[v])
            if self.row_of[low] != self.row_of[high]:
                self.gaps.setdefault(self.row_of[low], []).append(Link(low, high, link.weight))

    def order(self, rows: list[list[int]]) -> list[float]:
        """Sweep up and down; the positions of the best order, straightened."""
        x = [0.0] * len(self.reach)
        for row in rows:
            self.place(row, [0.0] * len(row), [1.0] * len(row), x)
        best_cost, best_rows = self.cost(x), [list(row) for row in rows]
        for sweep in range(SWEEPS):
            indices = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
            step = -1 if sweep % 2 == 0 else 1
            for r in indices:
                wanted, weights = self.wanted(rows[r], x, {r, r + step})
                at = sorted(range(len(rows[r])), key=lambda i, wanted=wanted: (wanted[i], i))  # type: ignore[misc]
                rows[r] = [rows[r][i] for i in at]
                self.place(rows[r], [wanted[i] for i in at], [weights[i] for i in at], x)
            cost = self.cost(x)
            if cost < best_cost:
                best_cost, best_rows = cost, [list(row) for row in rows]
        x = [0.0] * len(self.reach)
        for row in best_rows:
            self.place(row, [0.0] * len(row), [1.0] * len(row), x)
        for sweep in range(STRAIGHTENING):
            indices = range(len(best_rows)) if sweep % 2 else range(len(best_rows) - 1, -1, -1)
            for r in indices:
                wanted, weights = self.wanted(best_rows[r], x, {r - 1, r, r + 1})
                self.place(best_rows[r], wanted, weights, x)
        return x

    def wanted(self, row: list[int], x: list[float], rows: set[int]) -> tuple[list[float], list[float]]:
        """Where each vertex would like to be, given its neighbours in ``rows``, and how much."""
        wanted, weights = [], []
        for v in row:
            near = [(u, w) for u, w in self.neighbours[v] if self.row_of[u] in rows]
            total = sum(w for _, w in near)
            pull = 0.02 + 0.02 * total  # towards the middle, so that parts without links between them stay together
            wanted.append(sum(x[u] * w for u, w in near) / (total + pull) if near else x[v])
            weights.append(total + pull)
        return wanted, weights

    def place(self, row: Sequence[int], wanted: Sequence[float], weights: Sequence[float], x: list[float]) -> None:
        """Give a row's vertices, in their order, the positions nearest to what they want that do not overlap."""
        offsets, offset = [], 0.0
        for i, v in enumerate(row):
            offset += 0.0 if i == 0 else self.reach[row[i - 1]].right + self.reach[v].left
            offsets.append(offset)
        blocks: list[list[float]] = []  # mean, weight, count: pools of vertices that touch
        for i in range(len(row)):
            mean, weight, count = wanted[i] - offsets[i], weights[i], 1.0
            while blocks and blocks[-1][0] >= mean:
                other = blocks.pop()
                mean = (mean * weight + other[0] * other[1]) / (weight + other[1])
                weight, count = weight + other[1], count + other[2]
            blocks.append([mean, weight, count])
        means = [mean for mean, _, count in blocks for _ in range(int(count))]
        for v, mean, offset in zip(row, means, offsets, strict=True):
            x[v] = mean + offset

    def cost(self, x: list[float]) -> float:
        """Crossings, and a little for length."""
        crossings = 0
        for links in self.gaps.values():
            low = np.array([x[link.first] for link in links])
            high = np.array([x[link.second] for link in links])
            crossings += int(((low[:, None] - low) * (high[:, None] - high) < -1e-6).sum()) // 2
        length = sum(abs(x[link.first] - x[link.second]) * link.weight for link in self.links)
        return crossings + length / 200

    def add_loners(self, row: Sequence[int], placed: list[int], x: list[float]) -> None:
        """Put the vertices without links into gaps between the others near the middle, or at the nearer end."""
        if not placed:
            self.place(row, [0.0] * len(row), [1.0] * len(row), x)
            return
        placed = sorted(placed, key=lambda v: x[v])
        for v in row:
            if self.neighbours[v]:
                continue
            reach = self.reach[v]
            edges = [(-np.inf, -np.inf), *((x[u] - self.reach[u].left, x[u] + self.reach[u].right) for u in placed)]
            edges.append((np.inf, np.inf))
            spots = []
            for (_, start), (stop, _) in itertools.pairwise(edges):
                low, high = start + reach.left, stop - reach.right
                if low <= high:
                    spots.append(float(min(max(0.0, low), high)))
            x[v] = min(spots, key=lambda spot: (abs(spot), spot))
            placed = sorted([*placed, v], key=lambda u: x[u])
