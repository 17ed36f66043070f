"""The marks of a circuit diagram: bands of layers, interactions, components, labels, and the legend of all these."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from circuitspex.circuits.circuit import Interaction
from circuitspex.export.drawing.circuit_layout import JOINT_RADIUS, MARGIN, Layout, PlacedEdge, PlacedNode
from circuitspex.export.drawing.claims import is_hollow
from circuitspex.export.drawing.geometry import Box, Path, straight
from circuitspex.export.drawing.pen import Look, Pen
from circuitspex.export.drawing.style import (
    DASH,
    DETAIL_SIZE,
    NAME_SIZE,
    RING_GAP,
    Palette,
    colour_of,
    corners,
    direction_text,
    effect_text,
    legend_of,
    shape_of,
    text_width,
)
from circuitspex.export.words.relations import sentence
from circuitspex.export.words.saying import say

Sample = Callable[[Pen, float, float], None]
"""Draws a sample of a mark that is 24 wide, with the middle of its left side at (x, y)."""


def diagram(pen: Pen, placed: Layout, labels: bool, behind: Callable[[], None] | None = None) -> None:
    """Draw a layout.

    Args:
        pen: draws it.
        placed: the layout.
        labels: whether the effects of interactions are written on them.
        behind: draws what lies between the bands of the layers and everything else.
    """
    for band in placed.bands:
        with pen.group("band"):
            pen.box(Box(MARGIN, band.top, placed.width - MARGIN, band.bottom), Look(pen.palette.band), 5)
            pen.text(MARGIN + 8, band.y - 5, say("diagram.layer"), 6.5, pen.palette.muted)
            pen.text(MARGIN + 8, band.y + 5, str(band.layer), NAME_SIZE, pen.palette.muted, bold=True)
    if behind is not None:
        behind()
    weakest_first = sorted(enumerate(placed.edges), key=lambda at: (not at[1].faint, abs(at[1].edge.effect)))
    for i, edge in weakest_first:
        _edge(pen, i, edge)
    for i, node in enumerate(placed.nodes):
        _node(pen, i, node, effect_text(node.node, placed.places))
    with pen.group("labels", pointer_events="none"):
        for i, edge in weakest_first if labels else ():
            _label(pen, i, edge)
    if placed.message:
        pen.text(placed.width / 2, placed.height / 2, placed.message, NAME_SIZE, pen.palette.muted, "center")
    elif not placed.edges:
        looked_for = placed.looked_for_interactions
        alone = say("diagram.alone") if looked_for else say("diagram.no_interactions_in_file")
        pen.text(placed.width / 2, placed.height - 8, alone, DETAIL_SIZE, pen.palette.muted, "center")


def interaction_line(pen: Pen, paths: Sequence[Path], edge: Interaction, width: float, ink: Palette) -> None:
    """The line of an interaction: by colour and dashes its sign, hollow where it is an estimate."""
    estimated, negative = edge.measured is None, edge.effect < 0
    width = max(width, 3.0) if estimated else width
    look = Look(line=ink.negative, width=width, dash=DASH) if negative else Look(line=ink.positive, width=width)
    pen.curves(paths, look, part="line")
    if estimated:
        pen.curves(paths, Look(line=ink.background, width=width - 1.8), part="core")


def symbol(pen: Pen, kind: str, x: float, y: float, radius: float, look: Look, part: str = "") -> None:
    """The mark of a kind: a circle for a head, a rounded square for an MLP, and so on."""
    shape = shape_of(kind)
    if shape == "circle":
        pen.circle(x, y, radius, look, part)
    elif shape == "square":
        side = radius * 0.9
        pen.box(Box(x - side, y - side, x + side, y + side), look, radius * 0.3, part)
    else:
        pen.polygon(corners(shape, x, y, radius), look, part)


def _edge(pen: Pen, index: int, placed: PlacedEdge) -> None:
    edge, ink = placed.edge, pen.faint if placed.faint else pen.palette
    colour = ink.negative if edge.effect < 0 else ink.positive
    spoken = f"{sentence(edge)}: {placed.text}"
    if placed.arrow is not None and edge.direction is not None:
        spoken += f"; {direction_text(edge.direction)}"
    spoken = say("diagram.absent", spoken=spoken) if placed.faint else spoken
    with pen.group("edge", spoken, faint=placed.faint, data_edge=index):
        interaction_line(pen, placed.paths, edge, placed.width, ink)
        if placed.arrow is not None:
            pen.polygon(placed.arrow, Look(colour), part="arrow")
        if placed.joint is not None:
            face = ink.background if edge.measured is None else colour
            pen.circle(*placed.joint, JOINT_RADIUS, Look(face, colour, 1.4), part="joint")


def _node(pen: Pen, index: int, placed: PlacedNode, effect: str) -> None:
    node, ink = placed.node, pen.faint if placed.faint else pen.palette
    hollow = is_hollow(node)
    colour = ink.muted if hollow else colour_of(node, ink)
    face = ink.background if node.measured is None or hollow else colour
    spoken = say("diagram.component", name=node.name, effect=effect)
    spoken = say("diagram.not_distinct", spoken=spoken) if hollow else spoken
    spoken = say("diagram.absent", spoken=spoken) if placed.faint else spoken
    hit = Box(placed.symbol.left, placed.symbol.top, placed.label.right, placed.symbol.bottom)
    with pen.group("node", spoken, faint=placed.faint, hit=hit, data_node=index):
        if node.effect < 0 and not hollow:
            ring = Look(ink.background, colour, 1.1, (2.4, 1.8))
            symbol(pen, node.kind, placed.x, placed.y, placed.radius + RING_GAP, ring)
        symbol(pen, node.kind, placed.x, placed.y, placed.radius, Look(face, colour, 1.8), "symbol")
        pen.box(placed.label, Look(ink.band, opacity=0.8), 2.5)  # what passes behind the label is faint
        top = placed.label.top
        for i, line in enumerate(placed.lines):
            size, height = (DETAIL_SIZE, DETAIL_SIZE * 1.35) if i else (NAME_SIZE, NAME_SIZE * 1.3)
            pen.text(placed.label.left, top + height / 2, line, size, ink.muted if i else ink.text, bold=i == 0)
            top += height


def _label(pen: Pen, index: int, placed: PlacedEdge) -> None:
    box, ink = placed.label, pen.faint if placed.faint else pen.palette
    if box is None:
        return
    with pen.group("label", faint=placed.faint, data_edge=index):
        pen.box(box, Look(ink.background, ink.negative if placed.edge.effect < 0 else ink.positive, 0.6), 2.5)
        middle = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
        pen.text(*middle, placed.text, DETAIL_SIZE, ink.text, "center")


def samples(
    pen: Pen,
    kinds: set[str],
    arrows: bool,
    unsigned: bool = False,
    hollow: str = "",
    measured: str = "",
    signs: bool = True,
) -> list[tuple[str, Sample]]:
    """What the legend of a diagram with components of these kinds explains, and the samples of its marks.

    ``hollow`` is the kind of a component that can't be told from 0, where there is one; ``measured`` what is said of
    intervals; ``signs`` whether the lines of positive, negative and estimated interactions are explained.
    """
    palette = pen.palette
    found: list[tuple[str, Sample]] = [
        (label, functools.partial(_mark_sample, kind)) for kind, label in legend_of(kinds)
    ]
    grey = Look(line=palette.muted, width=3.4)
    lines = [(measured or say("claims.measured"), grey, False)]
    if signs:
        lines = [
            (say("page.positive_interaction"), Look(line=palette.positive, width=3.4), False),
            (say("page.negative_interaction"), Look(line=palette.negative, width=3.4, dash=DASH), False),
            *lines,
            (say("diagram.estimate"), grey, True),
        ]
    found += [(label, functools.partial(line_sample, look, estimated)) for label, look, estimated in lines]
    if hollow:
        found.append((say("diagram.hollow"), functools.partial(_hollow_sample, hollow)))
    if unsigned:
        found.append((say("diagram.unsigned"), functools.partial(line_sample, grey, True)))
    arrow: list[tuple[str, Sample]] = [(say("page.arrow"), _arrow_sample)] if arrows else []
    return [*found, *arrow, (say("diagram.size"), _sizes_sample)]


def legend(pen: Pen, placed: Layout, top: float, right: float, measured: str = "") -> None:
    """Lines of samples below ``top``, as many on each as fit before ``right``; ``measured`` is said of intervals."""
    arrows = any(edge.arrow is not None for edge in placed.edges)
    unsigned = not all(node.node.signed for node in placed.nodes)
    hollow = next((node.node.kind for node in placed.nodes if is_hollow(node.node)), "")
    kinds = {node.node.kind for node in placed.nodes}
    in_lines(pen, samples(pen, kinds, arrows, unsigned, hollow, measured), MARGIN, top + 12, right)


def in_lines(pen: Pen, shown: Sequence[tuple[str, Sample]], left: float, y: float, right: float) -> float:
    """Samples with what they mean, as many on a line as fit; gives the height of the last line."""
    x = left
    for label, sample in shown:
        wide = 24 + text_width(label, DETAIL_SIZE) + 12
        if x + wide > right and x > left:
            x, y = left, y + 15
        sample(pen, x, y)
        pen.text(x + 25, y, label, DETAIL_SIZE, pen.palette.muted)
        x += wide + 3
    return y


def _mark_sample(kind: str, pen: Pen, x: float, y: float) -> None:
    symbol(pen, kind, x + 14, y, 5.0, Look(pen.palette.muted))


def _hollow_sample(kind: str, pen: Pen, x: float, y: float) -> None:
    symbol(pen, kind, x + 14, y, 5.0, Look(pen.palette.background, pen.palette.muted, 1.4))


def line_sample(look: Look, hollow: bool, pen: Pen, x: float, y: float) -> None:
    """A short level line."""
    paths = [straight((x + 2, y), (x + 20, y))]
    pen.curves(paths, look)
    if hollow:
        pen.curves(paths, Look(line=pen.palette.background, width=look.width - 1.8))


def _arrow_sample(pen: Pen, x: float, y: float) -> None:
    pen.curves([straight((x + 2, y), (x + 14, y))], Look(line=pen.palette.muted, width=1.6))
    pen.polygon([(x + 22, y), (x + 13, y - 4), (x + 13, y + 4)], Look(pen.palette.muted))


def _sizes_sample(pen: Pen, x: float, y: float) -> None:
    for offset, radius in ((3, 2.0), (9, 3.0), (18, 4.4)):
        pen.circle(x + offset, y, radius, Look(pen.palette.muted))
