"""The matplotlib marks of circuit diagrams: what a figure of one circuit and a figure of several are drawn with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from circuitspex.export.drawing.circuit_layout import JOINT_RADIUS, MARGIN, Layout, PlacedEdge, PlacedNode
from circuitspex.export.drawing.geometry import Box, Path
from circuitspex.export.drawing.marks import Arrow
from circuitspex.export.drawing.style import (
    DASH,
    DETAIL_SIZE,
    FONTS,
    NAME_SIZE,
    RING_GAP,
    Palette,
    corners,
    legend_of,
    shape_of,
    text_width,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAINTNESS = 0.72
"""How much of the background is mixed into the colours of faint marks."""


def diagram(pen: Pen, placed: Layout) -> None:
    """Draw a layout: its bands, interactions, components and labels."""
    faint = _faint(pen.palette)
    _bands(pen, placed)
    for edge in sorted(placed.edges, key=lambda edge: (not edge.faint, abs(edge.edge.effect))):
        _edge(pen, edge, faint if edge.faint else pen.palette)
    for node in placed.nodes:
        _node(pen, node, faint if node.faint else pen.palette)
    if placed.with_effects:
        for edge in placed.edges:
            _edge_label(pen, edge, faint if edge.faint else pen.palette)
    if placed.message:
        pen.text(placed.width / 2, placed.height / 2, placed.message, NAME_SIZE, pen.palette.muted, "center")
    elif not placed.edges:
        note = "No interactions: every component acts on its own."
        pen.text(placed.width / 2, placed.height - 8, note, DETAIL_SIZE, pen.palette.muted, "center")


def _faint(palette: Palette) -> Palette:
    """The palette with its ink mixed into the background; texts stay readable."""

    def mixed(name: str) -> str:
        share = {"background": 0.0, "band": 0.0, "text": 0.45, "muted": 0.3}.get(name, FAINTNESS)
        ends = (getattr(palette, name), palette.background)
        ink, paper = ([int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in ends)
        return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(ink, paper, strict=True))

    return Palette(*(mixed(field.name) for field in fields(palette)))


def canvas(width: float, height: float, header: float, footer: float, palette: Palette) -> tuple[Figure, Pen]:
    """An empty figure for a layout of this size, with room above and below, and the pen that draws on it."""
    from matplotlib.figure import Figure

    size = width / 72, (header + height + footer) / 72
    figure = Figure(figsize=size, facecolor=palette.background, dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height + footer, -header)  # y goes down, as in the layout
    return figure, Pen(axes, palette)


class Pen:
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

    def arrow(self, head: Arrow, colour: str) -> None:
        """The head of an arrow."""
        from matplotlib.patches import Polygon

        self.axes.add_patch(Polygon(head, closed=True, facecolor=colour, edgecolor="none", zorder=3))

    def plate(self, box: Box, colour: str, **style: Any) -> None:
        """A rounded box behind a text."""
        from matplotlib.patches import FancyBboxPatch

        size, shape = (box.right - box.left, box.bottom - box.top), "round,pad=0,rounding_size=2.5"
        self.axes.add_patch(FancyBboxPatch((box.left, box.top), *size, boxstyle=shape, facecolor=colour, **style))

    def symbol(self, kind: str, x: float, y: float, radius: float, **style: Any) -> None:
        """The mark of a kind: a circle for a head, a rounded square for an MLP, and so on."""
        from matplotlib import patches

        style = {"zorder": 5, **style}
        shape_name = shape_of(kind)
        if shape_name == "circle":
            self.axes.add_patch(patches.Circle((x, y), radius, **style))
        elif shape_name == "square":
            side = radius * 0.9
            shape = f"round,pad=0,rounding_size={radius * 0.3}"
            box = patches.FancyBboxPatch((x - side, y - side), 2 * side, 2 * side, boxstyle=shape, **style)
            self.axes.add_patch(box)
        else:
            self.axes.add_patch(patches.Polygon(corners(shape_name, x, y, radius), closed=True, **style))


def _bands(pen: Pen, placed: Layout) -> None:
    from matplotlib.patches import Rectangle

    for band in placed.bands:
        size = (placed.width - 2 * MARGIN, band.bottom - band.top)
        pen.axes.add_patch(Rectangle((MARGIN, band.top), *size, facecolor=pen.palette.band, edgecolor="none", zorder=0))
        pen.text(MARGIN + 8, band.y - 5, "layer", 6.5, pen.palette.muted)
        pen.text(MARGIN + 8, band.y + 5, str(band.layer), NAME_SIZE, pen.palette.muted, bold=True)


def _edge(pen: Pen, placed: PlacedEdge, palette: Palette) -> None:
    negative, estimated = placed.edge.effect < 0, placed.edge.measured is None
    colour = palette.negative if negative else palette.positive
    width = max(placed.width, 3.0) if estimated else placed.width
    for path in placed.paths:
        pen.line(path, colour, width, dashed=negative)
        if estimated:
            pen.line(path, palette.background, width - 1.8)
    if placed.arrow is not None:
        pen.arrow(placed.arrow, colour)
    if placed.joint is not None:
        face = palette.background if estimated else colour
        pen.symbol("head", *placed.joint, JOINT_RADIUS, facecolor=face, edgecolor=colour, linewidth=1.4, zorder=4)


def _node(pen: Pen, placed: PlacedNode, palette: Palette) -> None:
    node = placed.node
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


def _edge_label(pen: Pen, placed: PlacedEdge, palette: Palette) -> None:
    if placed.label is None:
        return
    box = placed.label
    colour = palette.negative if placed.edge.effect < 0 else palette.positive
    pen.plate(box, palette.background, edgecolor=colour, linewidth=0.6, zorder=6)
    middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    pen.text(*middle, placed.text, DETAIL_SIZE, palette.text, "center", layer=8)


def legend(pen: Pen, placed: Layout, right: float) -> None:
    """Lines of samples below the diagram, as many on each as fit before ``right``."""
    palette = pen.palette
    shown = {node.node.kind for node in placed.nodes}
    arrows = any(edge.arrow is not None for edge in placed.edges)
    entries: list[tuple[str, Callable[[float, float], None]]] = [
        (label, functools.partial(_sample_symbol, pen, kind, palette.muted)) for kind, label in legend_of(shown)
    ]
    entries += [
        ("positive / synergistic", functools.partial(_sample_line, pen, palette.positive, False, False)),
        ("negative / redundant", functools.partial(_sample_line, pen, palette.negative, True, False)),
        ("measured, 95 % interval", functools.partial(_sample_line, pen, palette.muted, False, False)),
        ("estimate, not measured", functools.partial(_sample_line, pen, palette.muted, False, True)),
        *([("arrow: travels that way", functools.partial(_sample_arrow, pen, palette.muted))] if arrows else []),
        ("size and width: |effect|", functools.partial(_sample_sizes, pen, palette.muted)),
    ]
    x, y = MARGIN, placed.height + 12
    for label, sample in entries:
        wide = 24 + text_width(label, DETAIL_SIZE) + 12
        if x + wide > right and x > MARGIN:
            x, y = MARGIN, y + 15
        sample(x, y)
        pen.text(x + 25, y, label, DETAIL_SIZE, palette.muted)
        x += wide + 3


def _sample_symbol(pen: Pen, kind: str, colour: str, x: float, y: float) -> None:
    pen.symbol(kind, x + 14, y, 5.0, facecolor=colour, edgecolor=colour)


def _sample_line(pen: Pen, colour: str, dashed: bool, hollow: bool, x: float, y: float) -> None:
    path = ((x + 2, y), (x + 8, y), (x + 14, y), (x + 20, y))
    pen.line(path, colour, 3.4, dashed)
    if hollow:
        pen.line(path, pen.palette.background, 1.6)


def _sample_arrow(pen: Pen, colour: str, x: float, y: float) -> None:
    pen.line(((x + 2, y), (x + 6, y), (x + 10, y), (x + 14, y)), colour, 1.6)
    pen.arrow(((x + 22, y), (x + 13, y - 4), (x + 13, y + 4)), colour)


def _sample_sizes(pen: Pen, colour: str, x: float, y: float) -> None:
    for offset, radius in ((3, 2.0), (9, 3.0), (18, 4.4)):
        pen.symbol("head", x + offset, y, radius, facecolor=colour, edgecolor=colour)
