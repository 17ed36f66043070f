"""The map of a prompt as a matplotlib figure, and as SVG and PNG."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.geometry import Box
from circuitspex.export.drawing.prompt_layout import (
    LABEL_SIZE,
    MARGIN,
    TEXT_SIZE,
    PlacedArc,
    PlacedWord,
    PromptLayout,
    layout,
)
from circuitspex.export.drawing.style import DARK, LIGHT, faithfulness_text, shorten, text_width, title_of
from circuitspex.export.figures.circuit import file_bytes
from circuitspex.export.figures.pen import Pen, canvas
from circuitspex.export.tables.prompt import answer_text, how_text
from circuitspex.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = 66.0
FOOTER = 34.0
FAINTEST, STRONGEST = 0.06, 0.55
"""How much of a colour lies behind the weakest and the strongest word; text stays readable on both."""


def draw(found: PromptMap, dark: bool = False) -> Figure:
    """The map as a figure of its own, outside pyplot: ``figure.savefig`` writes it anywhere.

    Words that raise the metric are blue with a solid line below, words that lower it vermillion with a dashed one; the
    stronger, the deeper. Arcs are interactions: blue and solid positive, vermillion and dashed negative; a hollow
    one is an estimate.
    """
    import matplotlib

    placed = layout(found)
    palette = DARK if dark else LIGHT
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure, pen = canvas(placed.width, placed.height, HEADER, FOOTER, palette)
        _header(pen, found, placed.width)
        for word in placed.words:
            _word(pen, found, word)
        for arc in reversed(placed.arcs):
            _arc(pen, arc)
        for text in placed.texts:
            colour = palette.muted if text.word is None else palette.text
            pen.text(text.left + text.width / 2, text.y, text.text, TEXT_SIZE, colour, "center")
        for arc in placed.arcs:
            _label(pen, arc)
        _legend(pen, placed)
    return figure


def write_svg(found: PromptMap, path: FilePath) -> FilePath:
    """Write the picture as SVG."""
    return _write(found, path, "svg")


def write_png(found: PromptMap, path: FilePath) -> FilePath:
    """Write the picture as PNG."""
    return _write(found, path, "png")


def write_pdf(found: PromptMap, path: FilePath) -> FilePath:
    """Write the picture as PDF."""
    return _write(found, path, "pdf")


def _write(found: PromptMap, path: FilePath, form: str) -> FilePath:
    return write_atomically(path, file_bytes(draw(found), form, title_of(found.circuit)))


def _header(pen: Pen, found: PromptMap, width: float) -> None:
    room, palette = width - 2 * MARGIN, pen.palette
    title = f"{title_of(found.circuit)}: {answer_text(found)}"
    pen.text(MARGIN, -HEADER + 22, shorten(title, 12 * 1.12, room), 12, palette.text, bold=True)
    pen.text(MARGIN, -HEADER + 40, shorten(how_text(found), 9, room), 9, palette.muted)
    pen.text(MARGIN, -HEADER + 54, shorten(faithfulness_text(found.circuit), 9, room), 9, palette.muted)


def _word(pen: Pen, found: PromptMap, placed: PlacedWord) -> None:
    effect = found.words[placed.index].effect
    colour = pen.palette.negative if effect < 0 else pen.palette.positive
    for box in placed.boxes:
        inner = Box(box.left + 1, box.top, box.right - 1, box.bottom)
        depth = FAINTEST + (STRONGEST - FAINTEST) * placed.strength
        pen.plate(inner, colour, alpha=depth if effect else 0.0, linewidth=0, zorder=1)
        if placed.strength > 0.05:
            y = box.bottom - 0.5
            span = box.right - box.left - 4
            line = tuple((box.left + 2 + span * k / 3, y) for k in range(4))
            pen.line(line, colour, 0.8 + 1.6 * placed.strength, dashed=effect < 0)


def _arc(pen: Pen, arc: PlacedArc) -> None:
    negative, estimated = arc.edge.effect < 0, arc.edge.measured is None
    colour = pen.palette.negative if negative else pen.palette.positive
    width = max(arc.width, 2.6) if estimated else arc.width
    for path in arc.paths:
        pen.line(path, colour, width, dashed=negative)
        if estimated:
            pen.line(path, pen.palette.background, width - 1.6)


def _label(pen: Pen, arc: PlacedArc) -> None:
    half, high = text_width(arc.label, LABEL_SIZE) / 2 + 2, LABEL_SIZE * 0.68
    pen.plate(
        Box(arc.x - half, arc.y - high, arc.x + half, arc.y + high), pen.palette.background, linewidth=0, zorder=6
    )
    pen.text(arc.x, arc.y, arc.label, LABEL_SIZE, pen.palette.text, "center", layer=8)


def _legend(pen: Pen, placed: PromptLayout) -> None:
    palette, y = pen.palette, placed.height + 14
    x = MARGIN
    for colour, dashed, label in (
        (palette.positive, False, "raises the metric / together only"),
        (palette.negative, True, "lowers it / back up or reverse each other"),
    ):
        pen.line(tuple((x + 7 * k, y) for k in range(4)), colour, 3.0, dashed)
        pen.text(x + 27, y, label, 8.5, palette.muted)
        x += 36 + text_width(label, 8.5)
    pen.text(x, y, "depth and width: |effect|; grey: never ablated", 8.5, palette.muted)
