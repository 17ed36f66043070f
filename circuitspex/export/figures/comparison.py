"""A comparison as a matplotlib figure: before, after and the difference, with every component in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from circuitspex.circuits.comparison import Comparison
from circuitspex.export.drawing.circuit_layout import MARGIN
from circuitspex.export.drawing.circuit_marks import diagram
from circuitspex.export.drawing.claims import measured_label
from circuitspex.export.drawing.comparison_layout import union_layout
from circuitspex.export.drawing.comparison_legend import comparison_legend
from circuitspex.export.drawing.pen import Pen
from circuitspex.export.drawing.sheet import Sheet, writer
from circuitspex.export.drawing.style import (
    FACTS_SIZE,
    LIGHT,
    NAME_SIZE,
    TITLE_SIZE,
    number,
    shorten,
    text_width,
    wrapped,
)
from circuitspex.export.drawing.svg_pen import SvgPen
from circuitspex.export.tables.comparison_words import (
    estimate_text,
    metric_name,
    metric_places,
    model_names,
    r2_text,
    title_of,
    verdict,
)
from circuitspex.export.words.saying import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = 78.0
CAPTION = 24.0
FOOTER = 8.0


def sheet(comparison: Comparison) -> Sheet:
    """The three diagrams one below the other, so that their texts can be read on a page, and the legend.

    What is faint is not part of that circuit; the shape before a word or an effect says the kind of change.
    """
    placed = union_layout(comparison)
    one, two = model_names(comparison)
    sides = [
        (say("comparison.side.before"), one, placed.before),
        (say("comparison.side.after"), two, placed.after),
        (say("comparison.side.difference"), say("comparison.minus"), placed.difference),
    ]
    if comparison.identical or not placed.before.nodes:
        sides = []
    width = max(placed.before.width if sides else 0.0, 640.0)
    tall = CAPTION + placed.before.height
    room, title = width - 2 * MARGIN, title_of(comparison)
    said, parts = wrapped(verdict(comparison), FACTS_SIZE, room), _facts(comparison)
    fits = text_width(" · ".join(parts), FACTS_SIZE) <= room
    facts = [shorten(part, FACTS_SIZE, room) for part in ([" · ".join(parts)] if fits else parts)]
    header = HEADER + 16 * (len(said) + len(facts) - 2)
    below = header + len(sides) * tall
    measured = measured_label(comparison.before)
    legend_height = 0.0 if not sides else comparison_legend(SvgPen(LIGHT), comparison, placed, 0.0, measured)

    def paint(pen: Pen) -> None:
        ink = pen.palette
        pen.text(MARGIN, 22, shorten(title, TITLE_SIZE * 1.12, room), TITLE_SIZE, ink.text, bold=True)
        for row, line in enumerate((*said, *facts)):
            pen.text(MARGIN, 42 + 16 * row, line, FACTS_SIZE, ink.text if row < len(said) else ink.muted)
        for i, (side, about, drawn) in enumerate(sides):
            top = header + i * tall
            pen.text(MARGIN, top + CAPTION / 2, side, NAME_SIZE, ink.text, bold=True)
            start = MARGIN + text_width(side, NAME_SIZE, bold=True) + 6
            model = shorten(about, FACTS_SIZE, width - start - MARGIN)
            pen.text(start, top + CAPTION / 2, model, FACTS_SIZE, ink.muted)
            with pen.panel(0, top + CAPTION, drawn.width, drawn.height):
                diagram(pen, drawn, labels=drawn.with_effects)
        if sides:
            comparison_legend(pen, comparison, placed, below, measured)

    return Sheet(title, width, below + legend_height + FOOTER if sides else header, paint)


def draw(comparison: Comparison, dark: bool = False) -> Figure:
    """The three diagrams as a figure outside pyplot."""
    return sheet(comparison).figure(dark)


def render_svg(comparison: Comparison) -> str:
    """The diagrams as the text of an SVG file."""
    return sheet(comparison).svg()


write_svg, write_png, write_pdf = (writer(sheet, form) for form in ("svg", "png", "pdf"))
write_svg_dark, write_png_dark = (writer(sheet, form, dark=True) for form in ("svg", "png"))


def _facts(comparison: Comparison) -> list[str]:
    if comparison.identical:
        return []
    places = metric_places(comparison)
    parts = []
    if comparison.metric_difference is not None:
        ends = (comparison.metric_before, comparison.metric_after)
        before, after = ("–" if end is None else number(end.value, places) for end in ends)
        gap = estimate_text(comparison.metric_difference, places)
        parts.append(say("comparison.metric_line", metric=metric_name(comparison), before=before, after=after, gap=gap))
    if comparison.faithfulness.r2 is not None:
        parts.append(say("comparison.r2_line", r2=r2_text(comparison)))
    return parts
