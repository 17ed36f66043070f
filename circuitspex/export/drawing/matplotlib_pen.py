"""The pen that draws a matplotlib figure, outside pyplot: for PNG and PDF files, and for who wants the figure itself.

One unit is one point, so that text has the size that the layout measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from circuitspex.export.drawing.geometry import Box, Path, Point
from circuitspex.export.drawing.pen import Look, mixed
from circuitspex.export.drawing.style import FONTS, Palette
from circuitspex.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch


class MatplotlibPen:
    """Draws on a new figure of that size, whose upper edge is at ``top``."""

    def __init__(self, width: float, height: float, top: float, palette: Palette) -> None:
        from matplotlib.figure import Figure

        self.palette, self.faint = palette, mixed(palette)
        self.figure = Figure(figsize=(width / 72, height / 72), facecolor=palette.background, dpi=100)
        self._paper = Box(0, top, width, top + height)
        self._axes = self._place(self._paper, (0, 0))

    def _place(self, box: Box, origin: Point) -> Axes:
        paper = self._paper
        width, height = paper.right, paper.bottom - paper.top
        size = ((box.right - box.left) / width, (box.bottom - box.top) / height)
        axes = self.figure.add_axes((box.left / width, (paper.bottom - box.bottom) / height, *size))
        axes.set_axis_off()
        axes.set_xlim(box.left - origin[0], box.right - origin[0])
        axes.set_ylim(box.bottom - origin[1], box.top - origin[1])  # y goes down, as in the layout
        return axes

    def circle(self, x: float, y: float, radius: float, look: Look, part: str = "") -> None:
        """A circle around a point."""
        from matplotlib.patches import Circle

        self._add(Circle((x, y), radius, **_style(look)))

    def box(self, box: Box, look: Look, rounding: float = 0.0, part: str = "") -> None:
        """A rectangle with corners of that radius."""
        from matplotlib.patches import FancyBboxPatch

        shape = f"round,pad=0,rounding_size={rounding}" if rounding else "square,pad=0"
        size = (box.right - box.left, box.bottom - box.top)
        self._add(FancyBboxPatch((box.left, box.top), *size, boxstyle=shape, **_style(look)))

    def polygon(self, points: Sequence[Point], look: Look, part: str = "") -> None:
        """A closed shape."""
        from matplotlib.patches import Polygon

        self._add(Polygon(points, closed=True, **_style(look)))

    def curves(self, paths: Sequence[Path], look: Look, part: str = "") -> None:
        """Chains of Bézier curves, which count as one mark."""
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as Curve

        codes = [code for path in paths for code in (Curve.MOVETO, *[Curve.CURVE4] * (len(path) - 1))]
        self._add(PathPatch(Curve([point for path in paths for point in path], codes), **_style(look)))

    def text(
        self, x: float, y: float, text: str, size: float, colour: str, align: str = "left", bold: bool = False
    ) -> None:
        """A line of text whose middle is at height ``y``."""
        style: dict[str, Any] = {"ha": align, "va": "center_baseline", "fontweight": "bold" if bold else "normal"}
        style |= {"fontsize": size, "color": colour, "family": list(FONTS[:1]), "parse_math": False, "zorder": 2}
        self._axes.text(x, y, printable(text), **style)

    @contextmanager
    def group(self, kind: str, spoken: str = "", **more: Any) -> Iterator[None]:
        """What is drawn within belongs together; a picture has no use for it."""
        yield

    @contextmanager
    def panel(self, left: float, top: float, width: float, height: float) -> Iterator[None]:
        """What is drawn within has axes of its own."""
        outer, self._axes = self._axes, self._place(Box(left, top, left + width, top + height), (left, top))
        yield
        self._axes = outer

    def _add(self, patch: Patch) -> None:
        self._axes.add_artist(patch)  # limits are fixed: no need to look at where it ends


def _style(look: Look) -> dict[str, Any]:
    from matplotlib.colors import to_rgba

    face = "none" if look.fill == "none" else to_rgba(look.fill, look.opacity)
    dash = (
        (0, tuple(part / look.width for part in look.dash)) if look.dash else "-"
    )  # matplotlib multiplies by the width
    return {"facecolor": face, "edgecolor": look.line, "linewidth": look.width, "linestyle": dash, "zorder": 2}
