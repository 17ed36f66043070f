"""The map of a prompt as SVG, PNG and PDF files."""

from __future__ import annotations

import itertools

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.circuit_marks import line_sample
from circuitspex.export.drawing.pen import Look, Pen
from circuitspex.export.drawing.prompt_layout import MARGIN, layout
from circuitspex.export.drawing.prompt_marks import prompt_map
from circuitspex.export.drawing.sheet import Sheet, writer
from circuitspex.export.drawing.style import DASH, FACTS_SIZE, shorten, text_width, title_of
from circuitspex.export.tables.prompt import answer_text, how_sure_text, how_text, top_text, warning_text
from circuitspex.export.words.saying import say

HEADER = 92.0
FOOTER = 34.0
_TITLE_SIZE = 12.0
_LEGEND_SIZE = 8.5


def sheet(found: PromptMap) -> Sheet:
    """The map below its title, above its legend.

    Words that raise the metric are blue with a solid line below, words that lower it vermillion with a dashed one; the
    stronger, the deeper. Arcs are interactions: blue and solid positive, vermillion and dashed negative; a hollow
    one is an estimate.
    """
    placed = layout(found)
    room = placed.width - 2 * MARGIN

    def paint(pen: Pen) -> None:
        heading = shorten(f"{title_of(found.circuit)}: {answer_text(found)}", _TITLE_SIZE * 1.12, room)
        pen.text(MARGIN, -HEADER + 22, heading, _TITLE_SIZE, pen.palette.text, bold=True)
        top = say("prompt.predicts_short", tokens=top_text(found)) if found.top_predictions else ""
        facts = [fact for fact in (top, how_text(found), how_sure_text(found), warning_text(found)) if fact]
        for below, fact in zip(itertools.count(38, 13), facts, strict=False):
            pen.text(MARGIN, -HEADER + below, shorten(fact, FACTS_SIZE, room), FACTS_SIZE, pen.palette.muted)
        prompt_map(pen, found, placed)
        _legend(pen, placed.height + 14)

    return Sheet(title_of(found.circuit), placed.width, HEADER + placed.height + FOOTER, paint, top=-HEADER)


def render_svg(found: PromptMap) -> str:
    """The map as the text of an SVG file."""
    return sheet(found).svg()


write_svg, write_png, write_pdf = (writer(sheet, form) for form in ("svg", "png", "pdf"))
write_svg_dark, write_png_dark = (writer(sheet, form, dark=True) for form in ("svg", "png"))


def _legend(pen: Pen, y: float) -> None:
    palette, x = pen.palette, MARGIN
    for look, label in (
        (Look(line=palette.positive, width=3.0), say("figures.prompt_raises")),
        (Look(line=palette.negative, width=3.0, dash=DASH), say("figures.prompt_lowers")),
    ):
        line_sample(look, False, pen, x, y)
        pen.text(x + 27, y, label, _LEGEND_SIZE, palette.muted)
        x += 36 + text_width(label, _LEGEND_SIZE)
    pen.text(x, y, say("figures.prompt_depth"), _LEGEND_SIZE, palette.muted)
