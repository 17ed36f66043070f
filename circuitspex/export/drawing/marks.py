"""How large the marks of a diagram are, and the arrowheads of interactions that travel one way."""

from __future__ import annotations

import math
from collections.abc import Sequence

from circuitspex.export.drawing.geometry import Path, Point, sample
from circuitspex.export.drawing.style import RING_GAP

NODE_RADIUS = (6.0, 16.0)
EDGE_WIDTH = (1.4, 6.5)
ARROW = (8.0, 4.0)
"""Length of an arrowhead and half its width, before the width of its line is added."""

Arrow = tuple[Point, Point, Point]
"""The tip and the two corners of an arrowhead."""


def radius_of(effect: float, largest: float) -> float:
    """How large a component's symbol is, given the largest |effect| of the diagram."""
    low, high = NODE_RADIUS
    return low + (high - low) * math.sqrt(abs(effect) / (largest or 1.0))


def width_of(effect: float, largest: float) -> float:
    """How wide an interaction's line is, given the largest |effect| of the interactions."""
    low, high = EDGE_WIDTH
    return round(low + (high - low) * abs(effect) / (largest or 1.0), 2)


def arrowhead(paths: Sequence[Path], target: Point, radius: float, ringed: bool, width: float) -> Arrow | None:
    """The head of an arrow where a curve meets a component's symbol; None where the curve is too short for one.

    Args:
        paths: the curves of an interaction; the one that ends at the target gets the head.
        target: the centre of the component's symbol.
        radius: of the symbol.
        ringed: whether a ring is drawn around the symbol.
        width: of the line.
    """
    ends = [(path, math.dist(path[-1], target)) for path in paths]
    ends += [(path[::-1], math.dist(path[0], target)) for path in paths]
    along = sample(min(ends, key=lambda end: end[1])[0], 48)[::-1]  # away from the target
    clear, length = radius + (RING_GAP + 1.0 if ringed else 0.8), ARROW[0] + width
    tip = next((point for point in along if math.dist(point, target) >= clear), None)
    back = next((point for point in along if math.dist(point, target) >= clear + length), None)
    if tip is None or back is None or tip == back:
        return None
    distance, half = math.dist(tip, back), ARROW[1] + width / 2
    ux, uy = (tip[0] - back[0]) / distance, (tip[1] - back[1]) / distance
    x, y = tip[0] - ux * length, tip[1] - uy * length
    return _rounded(tip), _rounded((x - uy * half, y + ux * half)), _rounded((x + uy * half, y - ux * half))


def _rounded(point: Point) -> Point:
    return round(point[0], 2), round(point[1], 2)
