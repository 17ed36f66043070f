"""How the edges of a model run between its parts: through the spaces of rows that they pass, together where they can.

An edge that passes rows takes in each of them one of a few places where no part stands. The strongest edge is routed
first, each by the cheapest way (dynamic programming over the rows): sideways costs its length, half where an earlier
edge takes the same step, and a place that nobody uses yet costs a little. So edges that run the same way share their
places, and are spread there by no more than their widths: a bundle.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from circuitspex.export.drawing.geometry import Path, Point
from circuitspex.export.drawing.routing import curve

STEP = 26.0
"""How far apart the places are."""
CLEAR = 9.0
"""How far from a part an edge passes it at least."""
SHARED = 0.35
"""The cost of a step that an earlier edge takes, as a share of its length."""
NEW = 18.0
"""The cost of a place that no edge takes yet."""
WIDEST = 0.9
"""The share of the room between two places that a bundle fills at most."""
STRAIGHT = 1.5
"""Points that are not further apart than this across the page are straight above each other."""
AIR = 1.0
"""Between two lines of a bundle."""


@dataclass(frozen=True)
class Row:
    """A row of parts: its upper and lower edge, and from where to where each of its parts reaches."""

    top: float
    bottom: float
    taken: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ends:
    """An edge to be routed: from which row and place to which, rows counted from the bottom up; and its width."""

    low_row: int
    low: Point
    high_row: int
    high: Point
    width: float


def routes(rows: Sequence[Row], edges: Sequence[Ends], left: float, right: float) -> list[Path]:
    """The curve of each edge, from below to above.

    Args:
        rows: from the bottom up.
        edges: in the order in which they are routed.
        left: where places begin.
        right: where they end.
    """
    places = _Places([_free(row, left, right) for row in rows])
    ways = [places.take(ends) for ends in edges]
    offset = _offsets(ways, edges, rows, places.free)
    return [
        _path(rows, ends, [float(places.free[row][k]) + offset[row, i] for row, k in way])
        for i, (ends, way) in enumerate(zip(edges, ways, strict=True))
    ]


def _free(row: Row, left: float, right: float) -> NDArray[np.float64]:
    """The places of a row where no part stands."""
    places = np.arange(left, right + STEP / 2, STEP)
    ends = sorted(row.taken)
    middles = [(a[1] + b[0]) / 2 for a, b in itertools.pairwise(ends) if b[0] - a[1] >= CLEAR]
    clear = np.ones(len(places), bool)
    for low, high in ends:
        clear &= (places <= low - CLEAR) | (places >= high + CLEAR)
    found = np.unique(np.concatenate([places[clear], middles]))
    return found if len(found) else np.array([left - STEP, right + STEP])


Way = list[tuple[int, int]]
"""The rows that an edge passes, and the number of its place in each."""


class _Places:
    """The places of all rows, and what it costs to go from one to the next."""

    def __init__(self, free: Sequence[NDArray[np.float64]]) -> None:
        self.free = free
        self.new = [np.full(len(places), NEW) for places in free]
        self.step = [np.zeros((0, 0)), *(np.abs(b[:, None] - a) for a, b in itertools.pairwise(free))]
        self.first: dict[tuple[int, float], set[int]] = {}

    def take(self, ends: Ends) -> Way:
        """The cheapest way of an edge, which is cheaper for those after it."""
        between = range(ends.low_row + 1, ends.high_row)
        if not between:
            return []
        first = between[0]
        cost = np.abs(self.free[first] - ends.low[0])
        cost[list(self.first.get((first, ends.low[0]), ()))] *= SHARED
        cost = cost + self.new[first]
        come: list[NDArray[np.int64]] = []
        for row in between[1:]:
            total = self.step[row] + cost
            best = total.argmin(axis=1)
            come.append(best)
            cost = total[np.arange(len(best)), best] + self.new[row]
        k = int((cost + np.abs(self.free[between[-1]] - ends.high[0])).argmin())
        found = [k]
        for best in reversed(come):
            found.append(int(best[found[-1]]))
        way = list(zip(between, reversed(found), strict=True))
        self._share(ends, way)
        return way

    def _share(self, ends: Ends, way: Way) -> None:
        row, k = way[0]
        self.first.setdefault((row, ends.low[0]), set()).add(k)
        self.new[row][k] = 0.0
        before = k
        for row, k in way[1:]:
            self.step[row][k, before] = SHARED * abs(self.free[row][k] - self.free[row - 1][before])
            self.new[row][k] = 0.0
            before = k


def _offsets(
    ways: Sequence[Way], edges: Sequence[Ends], rows: Sequence[Row], free: Sequence[NDArray[np.float64]]
) -> dict[tuple[int, int], float]:
    """How far each edge runs beside the middle of its bundle in each row; by where they come from and go."""
    through: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, way in enumerate(ways):
        for at in way:
            through[at].append(i)
    found: dict[tuple[int, int], float] = {}
    for (row, k), members in through.items():
        x = float(free[row][k])
        room = min((2 * min(abs(x - low), abs(x - high)) - 4 for low, high in rows[row].taken), default=STEP)
        order = sorted(members, key=lambda i: (edges[i].high[0] + edges[i].low[0], edges[i].high_row, i))
        widths = [edges[i].width + AIR for i in order]
        scale = min(1.0, WIDEST * min(max(room, 6.0), STEP) / sum(widths))
        aside = -sum(widths) / 2
        for i, width in zip(order, widths, strict=True):
            found[row, i] = round((aside + width / 2) * scale, 1)
            aside += width
    return found


def _path(rows: Sequence[Row], ends: Ends, xs: Sequence[float]) -> Path:
    points = [ends.low]
    for row, x in zip(range(ends.low_row + 1, ends.high_row), xs, strict=True):
        points += [(x, rows[row].bottom + 3), (x, rows[row].top - 3)]
    points.append(ends.high)
    slim = [points[0]]  # what lies between two points straight above each other says nothing
    for k in range(1, len(points) - 1):
        x = points[k][0]
        if not (abs(x - slim[-1][0]) < STRAIGHT and abs(x - points[k + 1][0]) < STRAIGHT):
            slim.append(points[k])
    first, *inner, last = curve([*slim, points[-1]])
    return (first, *((x, float(round(y))) for x, y in inner), last)  # files of many edges stay small
