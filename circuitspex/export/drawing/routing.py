"""The curves of a layout's edges, and where their labels can stand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from circuitspex.export.drawing.geometry import Box, Path, Point, sample

MAX_CANDIDATES = 40
"""How many places along an edge are tried for its label."""


def curve(points: Sequence[Point]) -> Path:
    """A smooth curve through points of rising or falling height: upright at its ends, never swinging past a point."""
    slopes = [0.0] * len(points)
    for i in range(1, len(points) - 1):
        before, after = (_slope(points[k], points[k + 1]) for k in (i - 1, i))
        if before * after > 0:
            slopes[i] = 2 * before * after / (before + after)
    path: list[Point] = [points[0]]
    for ((x0, y0), s0), ((x1, y1), s1) in itertools.pairwise(zip(points, slopes, strict=True)):
        reach = (y1 - y0) * (0.5 if len(points) == 2 else 0.42)
        path += [(x0 + s0 * reach, y0 + reach), (x1 - s1 * reach, y1 - reach), (x1, y1)]
    return tuple((round(x, 2), round(y, 2)) for x, y in path)


def _slope(first: Point, second: Point) -> float:
    return (second[0] - first[0]) / (second[1] - first[1])


def arc(first: Point, last: Point, rise: float) -> Path:
    """A curve from one point of a row to another that runs ``rise`` above what stands between them."""
    (x0, y), (x1, _) = sorted((first, last))
    top, bend = y - rise, min(abs(x1 - x0) / 2, 40.0)
    return tuple(
        (round(px, 2), round(py, 2))
        for px, py in [
            (x0, y),
            (x0, y - rise * 0.75),
            (x0 + bend * 0.35, top),
            (x0 + bend, top),
            (x0 + bend, top),
            (x1 - bend, top),
            (x1 - bend, top),
            (x1 - bend * 0.35, top),
            (x1, y - rise * 0.75),
            (x1, y),
        ]
    )


def arc_levels(spans: Sequence[tuple[int, float, float]]) -> list[int]:
    """How high each arc (row, x, x) must go, in steps, to clear the shorter ones of its row that it overlaps."""
    ends = [(row, min(a, b), max(a, b)) for row, a, b in spans]
    levels = [0] * len(ends)
    done_of: dict[int, list[int]] = {}
    for i in sorted(range(len(ends)), key=lambda i: (ends[i][2] - ends[i][1], ends[i])):
        row, low, high = ends[i]
        done = done_of.setdefault(row, [])
        under = [levels[j] for j in done if ends[j][1] < high and low < ends[j][2]]
        used = set(under)
        levels[i] = next(level for level in range(len(under) + 1) if level not in used)
        if under and levels[i] < max(under) and any(low <= ends[j][1] and ends[j][2] <= high for j in done):
            levels[i] = max(under) + 1
        done.append(i)
    return levels


def place_labels(
    wanted: Sequence[tuple[Sequence[Path], Point | None, float, float]], taken: Sequence[Box], page: Box
) -> list[Box | None]:
    """A box on each edge for its label, in the order given; None where every place would hide something.

    Args:
        wanted: for each edge its curves, its joint if it has one, and the width and height of its text.
        taken: what must stay visible.
        page: what labels must stay inside of.
    """
    sampled = [np.array([point for path in paths for point in sample(path, 8)]) for paths, _, _, _ in wanted]
    points = np.concatenate(sampled) if sampled else np.zeros((0, 2))
    by_height = points[:, 1].argsort(kind="stable")
    owner = np.repeat(np.arange(len(wanted)), [len(some) for some in sampled])[by_height]
    x, y = points[by_height].T
    occupied = [*taken, *(_around(joint, 12, 12) for _, joint, _, _ in wanted if joint is not None)]
    full = np.full((len(occupied) + len(wanted), 4), np.nan)  # of boxes that are still to come nothing is known
    full[: len(occupied)] = _array(occupied)
    result: list[Box | None] = []
    for i, (paths, joint, width, height) in enumerate(wanted):
        places = _candidates(paths, joint, width, height)
        boxes = [_around(centre, width + 4, height + 1) for _, centre in places]
        left, top, right, bottom = _array(boxes).T[:, :, None]
        meets = (left < full[:, 2]) & (full[:, 0] < right) & (top < full[:, 3]) & (full[:, 1] < bottom)
        best: tuple[float, Box] | None = None
        for (extra, _), box, hits in zip(places, boxes, meets.any(axis=1), strict=True):
            if hits or not page.contains(box) or (best is not None and extra >= best[0]):
                continue
            rows = slice(*np.searchsorted(y, [box.top, np.nextafter(box.bottom, np.inf)]))
            hidden = int(((box.left <= x[rows]) & (x[rows] <= box.right) & (owner[rows] != i)).sum())
            if best is None or hidden + extra < best[0]:
                best = (hidden + extra, box)
        if best is not None:
            full[len(occupied) + i] = _array([best[1]])
        result.append(None if best is None else best[1])
    return result


def _array(boxes: Sequence[Box]) -> NDArray[np.float64]:
    return np.array([(box.left, box.top, box.right, box.bottom) for box in boxes]).reshape(-1, 4)


def _candidates(paths: Sequence[Path], joint: Point | None, width: float, height: float) -> list[tuple[float, Point]]:
    """Places for a label with how much worse than the first they are."""
    if joint is not None:
        x, y = joint
        aside = width / 2 + 9
        return [(0, (x + aside, y)), (1, (x - aside, y)), (1, (x, y - height - 3)), (1, (x, y + height + 3))]
    points = sample(paths[0], per_curve=16)
    middle = (len(points) - 1) / 2
    places = sorted({round(2 + (len(points) - 5) * i / (MAX_CANDIDATES - 1)) for i in range(MAX_CANDIDATES)})
    return [(abs(i - middle) / middle * 3, points[i]) for i in places]


def _around(centre: Point, width: float, height: float) -> Box:
    x, y = centre
    return Box(round(x - width / 2, 2), round(y - height / 2, 2), round(x + width / 2, 2), round(y + height / 2, 2))
