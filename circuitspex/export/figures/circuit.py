"""The circuit diagram as a matplotlib figure, and as SVG, PNG and PDF files.

One layout unit is one point, so that text has the size that the layout measured. Equal circuits give equal bytes: no
dates, no random ids, and none of the reader's own matplotlib settings.
"""

from __future__ import annotations

import io
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.circuit_layout import MARGIN, layout
from circuitspex.export.drawing.style import DARK, FONTS, LIGHT, budget_text, faithfulness_text, shorten, title_of
from circuitspex.export.figures.pen import Pen, canvas, diagram, legend
from circuitspex.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE_SIZE = 13.0
HEADER = 62.0
FOOTER = 54.0
PNG_DPI = 200
_FAMILY = f"'{FONTS[0]}', " + ", ".join(FONTS[1:])
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "circuitspex", "pdf.fonttype": 42}


def draw(circuit: Circuit, dark: bool = False) -> Figure:
    """The circuit as a figure of its own, outside pyplot: ``figure.savefig`` writes it anywhere.

    Blue is positive, vermillion negative and dashed; solid was measured, hollow is an estimate. A component's size and
    an interaction's width grow with the size of the effect.
    """
    import matplotlib

    placed = layout(circuit)
    palette = DARK if dark else LIGHT
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure, pen = canvas(placed.width, placed.height, HEADER, FOOTER, palette)
        _header(pen, circuit, placed.width)
        diagram(pen, placed)
        if placed.nodes:
            legend(pen, placed, placed.width - MARGIN)
    return figure


def render_svg(circuit: Circuit) -> str:
    """The diagram as the text of an SVG file, its labels as text."""
    return _bytes(circuit, "svg").decode("utf-8")


def write_svg(circuit: Circuit, path: FilePath) -> FilePath:
    """Write the diagram as SVG."""
    return write_atomically(path, _bytes(circuit, "svg"))


def write_png(circuit: Circuit, path: FilePath) -> FilePath:
    """Write the diagram as PNG, 200 dots an inch."""
    return write_atomically(path, _bytes(circuit, "png"))


def write_pdf(circuit: Circuit, path: FilePath) -> FilePath:
    """Write the diagram as PDF, its text as text."""
    return write_atomically(path, _bytes(circuit, "pdf"))


def write_svg_dark(circuit: Circuit, path: FilePath) -> FilePath:
    """Write the diagram as SVG for dark pages."""
    return write_atomically(path, file_bytes(draw(circuit, dark=True), "svg", title_of(circuit)))


def write_png_dark(circuit: Circuit, path: FilePath) -> FilePath:
    """Write the diagram as PNG for dark pages, 200 dots an inch."""
    return write_atomically(path, file_bytes(draw(circuit, dark=True), "png", title_of(circuit)))


def _bytes(circuit: Circuit, form: str) -> bytes:
    return file_bytes(draw(circuit), form, title_of(circuit))


def file_bytes(figure: Figure, form: str, title: str) -> bytes:
    """A figure as a 'svg', 'png' or 'pdf' file with real text and no dates, whatever the reader's own settings."""
    import matplotlib

    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Title": title}}
    metadata["pdf"] = {"CreationDate": None}
    buffer = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        figure.savefig(buffer, format=form, dpi=PNG_DPI if form == "png" else 72, metadata=metadata.get(form))
    data = buffer.getvalue()
    if form == "svg":  # fonts for readers that lack the first
        data = data.replace(f"font-family: '{FONTS[0]}'".encode(), f"font-family: {_FAMILY}".encode())
    return data


def _header(pen: Pen, circuit: Circuit, width: float) -> None:
    room = width - 2 * MARGIN
    palette = pen.palette
    pen.text(
        MARGIN, -HEADER + 22, shorten(title_of(circuit), TITLE_SIZE * 1.12, room), TITLE_SIZE, palette.text, bold=True
    )
    facts = " · ".join(part for part in (faithfulness_text(circuit), budget_text(circuit)) if part)
    pen.text(MARGIN, -HEADER + 42, shorten(facts, 9, room), 9, palette.muted)
