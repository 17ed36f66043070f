"""The circuit diagram as a matplotlib figure, and as SVG, PNG and PDF files, light and dark."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.circuit_layout import MARGIN, layout
from circuitspex.export.drawing.circuit_marks import diagram, legend
from circuitspex.export.drawing.claims import doubt_short, measured_label
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.drawing.group_marks import LINE, group_boxes, group_letters, group_lines, place_groups
from circuitspex.export.drawing.pen import Pen
from circuitspex.export.drawing.sheet import Sheet, writer
from circuitspex.export.drawing.style import (
    FACTS_SIZE,
    TITLE_SIZE,
    budget_text,
    faithfulness_text,
    shorten,
    title_of,
)
from circuitspex.export.figures.edges import edge_sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = 62.0
FOOTER = 54.0


def sheet(circuit: Circuit) -> Sheet:
    """The diagram below its title, above its legend.

    Blue is positive, vermillion negative and dashed; solid was measured, hollow is an estimate. A component's size and
    an interaction's width grow with the size of the effect. Groups (``Circuit.groups``) are boxes with a letter, or a
    letter at each member where other components stand between them. A circuit of edges is drawn by ``figures.edges``.
    """
    if is_of_edges(circuit):
        return edge_sheet(circuit)
    placed = layout(circuit)
    groups = place_groups(circuit, placed)
    title, room = title_of(circuit), placed.width - 2 * MARGIN
    said = (faithfulness_text(circuit), doubt_short(circuit), budget_text(circuit))
    facts = " · ".join(part for part in said if part)

    def paint(pen: Pen) -> None:
        heading = shorten(title, TITLE_SIZE * 1.12, room)
        pen.text(MARGIN, -HEADER + 22, heading, TITLE_SIZE, pen.palette.text, bold=True)
        pen.text(MARGIN, -HEADER + 42, shorten(facts, FACTS_SIZE, room), FACTS_SIZE, pen.palette.muted)
        diagram(pen, placed, placed.with_effects, functools.partial(group_boxes, pen, groups))
        group_letters(pen, groups)
        if placed.nodes:
            legend(pen, placed, placed.height, placed.width - MARGIN, measured_label(circuit))
        group_lines(pen, groups, placed, placed.height + FOOTER - LINE / 2)

    height = HEADER + placed.height + FOOTER + LINE * len(groups)
    return Sheet(title, placed.width, height, paint, top=-HEADER)


def draw(circuit: Circuit, dark: bool = False) -> Figure:
    """The circuit as a figure of its own, outside pyplot: ``figure.savefig`` writes it anywhere."""
    return sheet(circuit).figure(dark)


def render_svg(circuit: Circuit) -> str:
    """The diagram as the text of an SVG file, its labels as text."""
    return sheet(circuit).svg()


write_svg, write_png, write_pdf = (writer(sheet, form) for form in ("svg", "png", "pdf"))
write_svg_dark, write_png_dark = (writer(sheet, form, dark=True) for form in ("svg", "png"))
