"""The few shapes that a layout is made of."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]
Path = tuple[Point, ...]
"""A chain of cubic Bézier curves: the start, then two control points and an end for each curve."""


@dataclass(frozen=True)
class Box:
    """An upright rectangle; y goes down."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share an area."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def contains(self, other: Box) -> bool:
        """Whether the other lies wholly inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


def straight(start: Point, end: Point) -> Path:
    """A straight path."""
    (x, y), (u, v) = start, end
    return (start, (x + (u - x) / 3, y + (v - y) / 3), (x + 2 * (u - x) / 3, y + 2 * (v - y) / 3), end)


def sample(path: Path, per_curve: int = 12) -> list[Point]:
    """Points along a path."""
    points = [path[0]]
    for start in range(0, len(path) - 1, 3):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = path[start : start + 4]
        for step in range(1, per_curve + 1):
            t = step / per_curve
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            points.append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return points
