"""The circuit diagram as a matplotlib figure, and as SVG, PNG and PDF files.

One layout unit is one point, so that text has the size that the layout measured. Equal circuits give equal bytes: no
dates, no random ids, and none of the reader's own matplotlib settings.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.geometry import Box, Path
from circuitspex.export.layout import JOINT_RADIUS, MARGIN, Layout, PlacedEdge, PlacedNode, layout
from circuitspex.export.style import (
    DARK,
    DASH,
    DETAIL_SIZE,
    FONTS,
    LIGHT,
    NAME_SIZE,
    RING_GAP,
    Palette,
    budget_text,
    faithfulness_text,
    shorten,
    text_width,
    title_of,
)
from circuitspex.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    from matplotlib.figure import Figure

    placed = layout(circuit)
    palette = DARK if dark else LIGHT
    height = HEADER + placed.height + FOOTER
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=(placed.width / 72, height / 72), facecolor=palette.background, dpi=100)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, placed.width)
        axes.set_ylim(placed.height + FOOTER, -HEADER)  # y goes down, as in the layout
        pen = _Pen(axes, palette)
        _header(pen, circuit, placed.width)
        _bands(pen, placed)
        for edge in sorted(placed.edges, key=lambda edge: abs(edge.edge.effect)):
            _edge(pen, edge)
        for node in placed.nodes:
            _node(pen, node)
        if placed.with_effects:
            for edge in placed.edges:
                _edge_label(pen, edge)
        if placed.message:
            pen.text(placed.width / 2, placed.height / 2, placed.message, NAME_SIZE, palette.muted, "center")
        elif not placed.edges:
            note = "No interactions: every component acts on its own."
            pen.text(placed.width / 2, placed.height - 8, note, DETAIL_SIZE, palette.muted, "center")
        if placed.nodes:
            _legend(pen, placed)
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


def _bytes(circuit: Circuit, form: str) -> bytes:
    import matplotlib

    figure = draw(circuit)
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Title": title_of(circuit)}}
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


class _Pen:
    """Draws on axes whose unit is one point."""

    def __init__(self, axes: Axes, palette: Palette) -> None:
        self.axes, self.palette = axes, palette

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        colour: str,
        align: str = "left",
        bold: bool = False,
        layer: int = 7,
    ) -> None:
        """A text whose middle is at ``y``."""
        weight = "bold" if bold else "normal"
        style: dict[str, Any] = {
            "fontsize": size,
            "color": colour,
            "ha": align,
            "va": "center_baseline",
            "fontweight": weight,
            "zorder": layer,
        }
        self.axes.text(x, y, text, parse_math=False, family=list(FONTS[:1]), **style)

    def line(self, path: Path, colour: str, width: float, dashed: bool = False) -> None:
        """A curve."""
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path as Curve

        codes = [Curve.MOVETO, *[Curve.CURVE4] * (len(path) - 1)]
        patch = PathPatch(Curve(path, codes), facecolor="none", edgecolor=colour, linewidth=width, zorder=2)
        if dashed:
            patch.set_linestyle((0, tuple(part / width for part in DASH)))  # matplotlib multiplies dashes by the width
        self.axes.add_patch(patch)

    def plate(self, box: Box, colour: str, **style: Any) -> None:
        """A rounded box behind a text."""
        from matplotlib.patches import FancyBboxPatch

        size, shape = (box.right - box.left, box.bottom - box.top), "round,pad=0,rounding_size=2.5"
        self.axes.add_patch(FancyBboxPatch((box.left, box.top), *size, boxstyle=shape, facecolor=colour, **style))

    def symbol(self, kind: str, x: float, y: float, radius: float, **style: Any) -> None:
        """A circle for a head, a rounded square for an MLP, a diamond for neurons."""
        from matplotlib import patches

        style = {"zorder": 5, **style}
        if kind == "head":
            self.axes.add_patch(patches.Circle((x, y), radius, **style))
        elif kind == "mlp":
            side = radius * 0.9
            shape = f"round,pad=0,rounding_size={radius * 0.3}"
            box = patches.FancyBboxPatch((x - side, y - side), 2 * side, 2 * side, boxstyle=shape, **style)
            self.axes.add_patch(box)
        else:
            corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
            self.axes.add_patch(patches.Polygon(corners, closed=True, **style))


def _header(pen: _Pen, circuit: Circuit, width: float) -> None:
    room = width - 2 * MARGIN
    palette = pen.palette
    pen.text(
        MARGIN, -HEADER + 22, shorten(title_of(circuit), TITLE_SIZE * 1.12, room), TITLE_SIZE, palette.text, bold=True
    )
    facts = " · ".join(part for part in (faithfulness_text(circuit), budget_text(circuit)) if part)
    pen.text(MARGIN, -HEADER + 42, shorten(facts, 9, room), 9, palette.muted)


def _bands(pen: _Pen, placed: Layout) -> None:
    from matplotlib.patches import Rectangle

    for band in placed.bands:
        size = (placed.width - 2 * MARGIN, band.bottom - band.top)
        pen.axes.add_patch(Rectangle((MARGIN, band.top), *size, facecolor=pen.palette.band, edgecolor="none", zorder=0))
        pen.text(MARGIN + 8, band.y - 5, "layer", 6.5, pen.palette.muted)
        pen.text(MARGIN + 8, band.y + 5, str(band.layer), NAME_SIZE, pen.palette.muted, bold=True)


def _edge(pen: _Pen, placed: PlacedEdge) -> None:
    negative, estimated = placed.edge.effect < 0, placed.edge.measured is None
    colour = pen.palette.negative if negative else pen.palette.positive
    width = max(placed.width, 3.0) if estimated else placed.width
    for path in placed.paths:
        pen.line(path, colour, width, dashed=negative)
        if estimated:
            pen.line(path, pen.palette.background, width - 1.8)
    if placed.joint is not None:
        face = pen.palette.background if estimated else colour
        pen.symbol("head", *placed.joint, JOINT_RADIUS, facecolor=face, edgecolor=colour, linewidth=1.4, zorder=4)


def _node(pen: _Pen, placed: PlacedNode) -> None:
    node, palette = placed.node, pen.palette
    colour = palette.negative if node.effect < 0 else palette.positive
    face = palette.background if node.measured is None else colour
    if node.effect < 0:
        ring = placed.radius + RING_GAP
        style: dict[str, Any] = {"linestyle": (0, (2.2, 1.6)), "linewidth": 1.1, "edgecolor": colour}
        pen.symbol(node.kind, placed.x, placed.y, ring, facecolor=palette.background, **style)
    pen.symbol(node.kind, placed.x, placed.y, placed.radius, facecolor=face, edgecolor=colour, linewidth=1.8)
    pen.plate(placed.label, palette.band, alpha=0.8, linewidth=0, zorder=4)  # what passes behind the label is faint
    top = placed.label.top
    for i, line in enumerate(placed.lines):
        size, height = (DETAIL_SIZE, DETAIL_SIZE * 1.35) if i else (NAME_SIZE, NAME_SIZE * 1.3)
        pen.text(placed.label.left, top + height / 2, line, size, palette.muted if i else palette.text, bold=i == 0)
        top += height


def _edge_label(pen: _Pen, placed: PlacedEdge) -> None:
    if placed.label is None:
        return
    box, palette = placed.label, pen.palette
    colour = palette.negative if placed.edge.effect < 0 else palette.positive
    pen.plate(box, palette.background, edgecolor=colour, linewidth=0.6, zorder=6)
    middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    pen.text(*middle, placed.text, DETAIL_SIZE, palette.text, "center", layer=8)


def _legend(pen: _Pen, placed: Layout) -> None:
    """Two lines of samples below the diagram, as many on each as fit."""
    palette = pen.palette
    kinds = [("head", "head"), ("mlp", "MLP"), ("neurons", "neurons")]
    shown = {node.node.kind for node in placed.nodes}
    entries: list[tuple[str, Callable[[float, float], None]]] = [
        (label, functools.partial(_sample_symbol, pen, kind, palette.muted)) for kind, label in kinds if kind in shown
    ]
    entries += [
        ("positive / synergistic", functools.partial(_sample_line, pen, palette.positive, False, False)),
        ("negative / redundant", functools.partial(_sample_line, pen, palette.negative, True, False)),
        ("measured, 95 % interval", functools.partial(_sample_line, pen, palette.muted, False, False)),
        ("estimate, not measured", functools.partial(_sample_line, pen, palette.muted, False, True)),
        ("size and width: |effect|", functools.partial(_sample_sizes, pen, palette.muted)),
    ]
    x, y = MARGIN, placed.height + 12
    for label, sample in entries:
        wide = 24 + text_width(label, DETAIL_SIZE) + 12
        if x + wide > placed.width - MARGIN and x > MARGIN:
            x, y = MARGIN, y + 15
        sample(x, y)
        pen.text(x + 25, y, label, DETAIL_SIZE, palette.muted)
        x += wide + 3


def _sample_symbol(pen: _Pen, kind: str, colour: str, x: float, y: float) -> None:
    pen.symbol(kind, x + 14, y, 5.0, facecolor=colour, edgecolor=colour)


def _sample_line(pen: _Pen, colour: str, dashed: bool, hollow: bool, x: float, y: float) -> None:
    path = ((x + 2, y), (x + 8, y), (x + 14, y), (x + 20, y))
    pen.line(path, colour, 3.4, dashed)
    if hollow:
        pen.line(path, pen.palette.background, 1.6)


def _sample_sizes(pen: _Pen, colour: str, x: float, y: float) -> None:
    for offset, radius in ((1, 2.0), (7, 3.0), (16, 4.4)):
        pen.symbol("head", x + offset, y, radius, facecolor=colour, edgecolor=colour)
