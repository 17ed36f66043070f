"""A comparison as a matplotlib figure: before, after and the difference, with every component in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from circuitspex.circuits.comparison import Comparison
from circuitspex.export.drawing.circuit_layout import MARGIN
from circuitspex.export.drawing.circuit_marks import diagram, legend
from circuitspex.export.drawing.claims import measured_label
from circuitspex.export.drawing.comparison_layout import KIND_MARKS, union_layout
from circuitspex.export.drawing.pen import Pen
from circuitspex.export.drawing.sheet import Sheet, writer
from circuitspex.export.drawing.style import FACTS_SIZE, NAME_SIZE, TITLE_SIZE, number, shorten, text_width
from circuitspex.export.tables.comparison_words import (
    estimate_text,
    metric_name,
    metric_places,
    model_names,
    r2_text,
    title_of,
    verdict,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = 78.0
CAPTION = 24.0
FOOTER = 48.0


def sheet(comparison: Comparison) -> Sheet:
    """The three diagrams side by side.

    What is faint is not part of that circuit; the shape before a word or an effect says the kind of change.
    """
    placed = union_layout(comparison)
    one, two = model_names(comparison)
    marks = ", ".join(f"{KIND_MARKS[kind]} {kind}" for kind in KIND_MARKS if kind != "unchanged")
    sides = [("Before", one, placed.before), ("After", two, placed.after), ("Difference", marks, placed.difference)]
    if comparison.identical or not placed.before.nodes:
        sides = []
    width = max(3 * placed.before.width if sides else 0.0, 640.0)
    below = HEADER + CAPTION + placed.before.height
    room, title = width - 2 * MARGIN, title_of(comparison)

    def paint(pen: Pen) -> None:
        ink = pen.palette
        pen.text(MARGIN, 22, shorten(title, TITLE_SIZE * 1.12, room), TITLE_SIZE, ink.text, bold=True)
        pen.text(MARGIN, 42, shorten(verdict(comparison), FACTS_SIZE, room), FACTS_SIZE, ink.text)
        pen.text(MARGIN, 58, shorten(_facts(comparison), FACTS_SIZE, room), FACTS_SIZE, ink.muted)
        for i, (side, about, drawn) in enumerate(sides):
            left, y = i * drawn.width, HEADER + CAPTION / 2
            pen.text(left + MARGIN, y, side, NAME_SIZE, ink.text, bold=True)
            start = MARGIN + text_width(side, NAME_SIZE, bold=True) + 6
            said = shorten(about, FACTS_SIZE, drawn.width - start - MARGIN)
            pen.text(left + start, y, said, FACTS_SIZE, ink.muted)
            with pen.panel(left, HEADER + CAPTION, drawn.width, drawn.height):
                diagram(pen, drawn, labels=drawn.with_effects)
        if sides:
            legend(pen, placed.before, below, width - MARGIN, measured_label(comparison.before))

    return Sheet(title, width, below + FOOTER if sides else HEADER, paint)


def draw(comparison: Comparison, dark: bool = False) -> Figure:
    """The three diagrams as a figure outside pyplot."""
    return sheet(comparison).figure(dark)


def render_svg(comparison: Comparison) -> str:
    """The diagrams as the text of an SVG file."""
    return sheet(comparison).svg()


write_svg, write_png, write_pdf = (writer(sheet, form) for form in ("svg", "png", "pdf"))


def _facts(comparison: Comparison) -> str:
    if comparison.identical:
        return ""
    places = metric_places(comparison)
    parts = []
    if comparison.metric_difference is not None:
        ends = (comparison.metric_before, comparison.metric_after)
        before, after = ("–" if end is None else number(end.value, places) for end in ends)
        gap = estimate_text(comparison.metric_difference, places)
        parts.append(f"{metric_name(comparison)} {before} before, {after} after, difference {gap}")
    if comparison.faithfulness.r2 is not None:
        parts.append(f"R² of the decoded difference {r2_text(comparison)}")
    return " · ".join(parts)
