"""Interactions among edges: an arc from a point on the one edge to a point on the other; a star for three and more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from circuitspex.circuits.circuit import Interaction
from circuitspex.export.drawing.geometry import Box, Path, Point, sample, straight
from circuitspex.export.drawing.style import effect_text
from circuitspex.export.words.relations import short

SHARES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.12, 0.88)
"""Where on an edge an interaction may end, as shares of its length."""
NEAREST = 30.0
"""How far apart the ends of an interaction are at least, where they can be."""
APART = 10.0
"""Between the ends of different interactions."""


@dataclass(frozen=True)
class PlacedInteraction:
    """An interaction among edges: its arcs, their ends on the edges, and a place for its text or None."""

    edge: Interaction
    paths: tuple[Path, ...]
    ends: tuple[Point, ...]
    width: float
    text: str
    label: Box | None = None
    arrow: None = None

    @property
    def joint(self) -> Point | None:
        """Where the lines of three and more edges meet."""
        return None if len(self.paths) == 1 else self.paths[0][-1]


def arcs(
    interactions: Sequence[Interaction],
    path_of: Mapping[str, Path],
    boxes: Sequence[Box],
    places: int | None = None,
) -> list[PlacedInteraction]:
    """Where interactions are drawn, in the order given, which goes first to the better places.

    Args:
        interactions: of edges with these paths.
        path_of: the curve of each edge by its name.
        boxes: of parts, which ends keep away from.
        places: write the effects with so many decimals; None leaves them out.
    """
    largest = max((abs(one.effect) for one in interactions), default=1.0) or 1.0
    points = {name: [point_at(path_of[name], share) for share in SHARES] for name in _named(interactions)}
    taken: list[Point] = []
    found = []
    for one in interactions:
        ends = _ends([points[name] for name in one.components], boxes, taken)
        taken += ends
        if len(ends) == 2:
            paths: tuple[Path, ...] = (_arc(ends[0], ends[1]),)
        else:
            middle = (sum(x for x, _ in ends) / len(ends), sum(y for _, y in ends) / len(ends))
            paths = tuple(straight(end, middle) for end in ends)
        text = short(one) if places is None else f"{short(one)}: {effect_text(one, places)}"
        width = round(1.3 + 1.9 * abs(one.effect) / largest, 2)
        found.append(PlacedInteraction(one, paths, tuple(ends), width, text))
    return found


def point_at(path: Path, share: float) -> Point:
    """The point at that share of a path's length."""
    points = np.array(sample(path, 10))
    steps = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    x, y = (float(np.interp(share * along[-1], along, points[:, k])) for k in (0, 1))
    return round(x, 1), round(y, 1)


def _named(interactions: Sequence[Interaction]) -> list[str]:
    return sorted({name for one in interactions for name in one.components})


def _ends(choices: Sequence[Sequence[Point]], boxes: Sequence[Box], taken: Sequence[Point]) -> list[Point]:
    """One of the points of each edge: away from parts and what is taken, and near each other."""
    choices = [[point for point in points if _is_clear(point, boxes, taken)] or points[:1] for points in choices]

    def cost(first: Point, last: Point) -> float:
        distance = math.dist(first, last)
        return distance if distance >= NEAREST else 1e4 - distance

    pairs = ((a, b) for a in choices[0] for b in choices[1])
    found = list(min(pairs, key=lambda pair: cost(*pair)))
    for more in choices[2:]:
        found.append(min(more, key=lambda point: sum(cost(point, other) for other in found)))
    return found


def _is_clear(point: Point, boxes: Sequence[Box], taken: Sequence[Point]) -> bool:
    x, y = point
    around = Box(x - 5, y - 5, x + 5, y + 5)
    return all(math.dist(point, other) >= APART for other in taken) and not any(box.overlaps(around) for box in boxes)


def _arc(first: Point, last: Point) -> Path:
    """A bent line between two points, to the side of the straight one."""
    (x0, y0), (x1, y1) = sorted((first, last))
    distance = math.dist(first, last) or 1.0
    bend = min(max(0.22 * distance, 12.0), 46.0) / distance
    dx, dy = (y1 - y0) * bend, (x0 - x1) * bend
    if dy > 0:
        dx, dy = -dx, -dy
    inner = ((x0 + (x1 - x0) * share + dx, y0 + (y1 - y0) * share + dy) for share in (0.3, 0.7))
    a, b = ((round(x, 1), round(y, 1)) for x, y in inner)
    return (x0, y0), a, b, (x1, y1)
