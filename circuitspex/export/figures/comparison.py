"""A comparison as a matplotlib figure: before, after and the difference, with every component in one place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.circuits.comparison import Comparison
from circuitspex.export.drawing.circuit_layout import MARGIN
from circuitspex.export.drawing.comparison_layout import KIND_MARKS, union_layout
from circuitspex.export.drawing.style import DARK, LIGHT, NAME_SIZE, number, shorten, text_width
from circuitspex.export.figures.circuit import TITLE_SIZE, file_bytes
from circuitspex.export.figures.pen import Pen, diagram, legend
from circuitspex.export.tables.comparison_words import (
    estimate_text,
    metric_name,
    metric_places,
    model_names,
    r2_text,
    title_of,
    verdict,
)
from circuitspex.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADER = 78.0
CAPTION = 24.0
FOOTER = 48.0
FACTS_SIZE = 9.0


def draw(comparison: Comparison, dark: bool = False) -> Figure:
    """The three diagrams side by side, as a figure outside pyplot.

    What is faint is not part of that circuit; the shape before a word or an effect says the kind of change.
    """
    import matplotlib
    from matplotlib.figure import Figure

    palette = DARK if dark else LIGHT
    placed = union_layout(comparison)
    one, two = model_names(comparison)
    marks = ", ".join(f"{KIND_MARKS[kind]} {kind}" for kind in ("gained", "lost", "changed"))
    sides = [("Before", one, placed.before), ("After", two, placed.after), ("Difference", marks, placed.difference)]
    if comparison.identical or not placed.before.nodes:
        sides = []
    width = max(3 * placed.before.width if sides else 0.0, 640.0)
    height = HEADER + (CAPTION + placed.before.height + FOOTER if sides else 0.0)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=(width / 72, height / 72), facecolor=palette.background, dpi=100)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)  # y goes down, as in the layout
        pen = Pen(axes, palette)
        room = width - 2 * MARGIN
        title = shorten(title_of(comparison), TITLE_SIZE * 1.12, room)
        pen.text(MARGIN, 22, title, TITLE_SIZE, palette.text, bold=True)
        pen.text(MARGIN, 42, shorten(verdict(comparison), FACTS_SIZE, room), FACTS_SIZE, palette.text)
        pen.text(MARGIN, 58, shorten(_facts(comparison), FACTS_SIZE, room), FACTS_SIZE, palette.muted)
        for i, (side, about, drawn) in enumerate(sides):
            left, top = i * drawn.width, HEADER
            pen.text(left + MARGIN, top + CAPTION / 2, side, NAME_SIZE, palette.text, bold=True)
            start = MARGIN + text_width(side, NAME_SIZE, bold=True) + 6
            said = shorten(about, FACTS_SIZE, drawn.width - start - MARGIN)
            pen.text(left + start, top + CAPTION / 2, said, FACTS_SIZE, palette.muted)
            box = (left / width, 1 - (top + CAPTION + drawn.height) / height, drawn.width / width)
            panel = figure.add_axes((*box, drawn.height / height))
            panel.set_axis_off()
            panel.set_xlim(0, drawn.width)
            panel.set_ylim(drawn.height, 0)
            diagram(Pen(panel, palette), drawn)
        if sides:
            below = figure.add_axes((0, 0, 1, FOOTER / height))
            below.set_axis_off()
            below.set_xlim(0, width)
            below.set_ylim(placed.before.height + FOOTER, placed.before.height)
            legend(Pen(below, palette), placed.before, width - MARGIN)
    return figure


def write_svg(comparison: Comparison, path: Path) -> Path:
    """Write the figure as SVG."""
    return _write(comparison, path, "svg")


def write_png(comparison: Comparison, path: Path) -> Path:
    """Write the figure as PNG, 200 dots an inch."""
    return _write(comparison, path, "png")


def write_pdf(comparison: Comparison, path: Path) -> Path:
    """Write the figure as PDF, its text as text."""
    return _write(comparison, path, "pdf")


def _write(comparison: Comparison, path: Path, form: str) -> Path:
    return write_atomically(path, file_bytes(draw(comparison), form, title_of(comparison)))


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
