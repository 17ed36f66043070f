"""The drawing of an edge circuit on paper: heads with their ports, MLPs, and the edges between them."""

from __future__ import annotations

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.claims import doubt_short, measured_label
from circuitspex.export.drawing.edge_layout import MARGIN, edge_layout
from circuitspex.export.drawing.edge_marks import edge_diagram, edge_legend
from circuitspex.export.drawing.pen import Pen
from circuitspex.export.drawing.sheet import Sheet
from circuitspex.export.drawing.style import (
    FACTS_SIZE,
    TITLE_SIZE,
    budget_text,
    faithfulness_text,
    shorten,
    title_of,
)
from circuitspex.export.words.saying import say

HEADER = 62.0
FOOTER = 62.0


def edge_sheet(circuit: Circuit) -> Sheet:
    """The parts of the model and the edges between them, below their title and above their legend."""
    placed = edge_layout(circuit)
    title, room = title_of(circuit), placed.width - 2 * MARGIN
    count = say("figures.edges_count", edges=f"{len(circuit.nodes):,}", interactions=f"{len(circuit.interactions):,}")
    said = (placed.note or count, faithfulness_text(circuit), doubt_short(circuit))
    facts = " · ".join(part for part in (*said, budget_text(circuit)) if part)

    def paint(pen: Pen) -> None:
        heading = shorten(title, TITLE_SIZE * 1.12, room)
        pen.text(MARGIN, -HEADER + 22, heading, TITLE_SIZE, pen.palette.text, bold=True)
        pen.text(MARGIN, -HEADER + 42, shorten(facts, FACTS_SIZE, room), FACTS_SIZE, pen.palette.muted)
        edge_diagram(pen, placed)
        if placed.parts:
            edge_legend(pen, placed, placed.height, placed.width - MARGIN, measured_label(circuit))

    return Sheet(title, placed.width, HEADER + placed.height + FOOTER, paint, top=-HEADER)
