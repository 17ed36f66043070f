"""The diagram as a piece of HTML: the inline SVG of the page and of notebooks."""

from __future__ import annotations

from circuitspex.export.drawing import circuit_marks
from circuitspex.export.drawing.circuit_layout import Layout
from circuitspex.export.drawing.svg_pen import BUTTON, SvgPen


def diagram(placed: Layout, title: str, interactive: bool = False) -> str:
    """The layout as an ``<svg>`` element.

    Args:
        placed: what to draw.
        title: what a screen reader says.
        interactive: whether components and interactions can be focused and clicked (for the page's script).
    """
    pen = SvgPen(button=BUTTON if interactive else "")
    circuit_marks.diagram(pen, placed, labels=placed.with_effects or interactive)
    return pen.element("cx-diagram", placed.width, placed.height, title)
