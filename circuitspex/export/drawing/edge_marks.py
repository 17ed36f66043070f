"""The marks of the drawing of an edge circuit, and its legend.

An edge is a curve, solid and blue or dashed and vermilion by its sign, as wide as its effect; an interaction among
edges is a dotted arc with rings at its ends. Where some edges were measured and others not, estimates are hollow.
"""

from __future__ import annotations

import functools

from circuitspex.export.drawing.circuit_marks import Sample, in_lines, line_sample
from circuitspex.export.drawing.edge_arcs import PlacedInteraction
from circuitspex.export.drawing.edge_blocks import FRAME, PART_NAME
from circuitspex.export.drawing.edge_layout import MARGIN, EdgeLayout, PlacedEdge, PlacedPart
from circuitspex.export.drawing.edge_parts import IN_LEGENDS
from circuitspex.export.drawing.geometry import Box, Path, straight
from circuitspex.export.drawing.pen import Look, Pen
from circuitspex.export.drawing.style import DASH, DETAIL_SIZE, NAME_SIZE, colour_of, effect_text
from circuitspex.export.words.relations import sentence
from circuitspex.export.words.saying import say

DOTS = (1.3, 2.6)
PORT_SIZE = 6.5
ROUNDING = {"head": 9.0, "shared": 9.0, "mlp": 3.0, "embeddings": 3.0, "logits": 3.0}


def edge_diagram(pen: Pen, placed: EdgeLayout, labels: bool = True) -> None:
    """Draw a layout; ``labels`` are effects on edges and the words of interactions."""
    for layer, top, bottom in placed.bands:
        with pen.group("band"):
            pen.box(Box(MARGIN, top, placed.width - MARGIN, bottom), Look(pen.palette.band), 5)
            y = (top + bottom) / 2
            pen.text(MARGIN + 8, y - 5, say("diagram.layer"), 6.5, pen.palette.muted)
            pen.text(MARGIN + 8, y + 5, str(layer), NAME_SIZE, pen.palette.muted, bold=True)
    for i, (_, box) in enumerate(placed.frames):
        with pen.group("frame", data_frame=i):
            pen.box(box, Look(pen.palette.line, pen.palette.muted, 0.8, (1.5, 2.5), opacity=0.5), 12.0)
    mixed = is_mixed(placed)
    for i, edge in sorted(enumerate(placed.nodes), key=lambda at: abs(at[1].node.effect)):
        _edge(pen, i, edge, placed.places, mixed)
    for i, one in sorted(enumerate(placed.edges), key=lambda at: abs(at[1].edge.effect)):
        _interaction(pen, i, one, placed.places)
    for i, part in enumerate(placed.parts):
        _part(pen, i, part)
    with pen.group("labels", pointer_events="none"):
        for i, edge in enumerate(placed.nodes) if labels else ():
            if edge.label is not None:
                with pen.group("label", data_node=i):
                    _label(pen, edge.label, edge.text, colour_of(edge.node, pen.palette))
        for i, one in enumerate(placed.edges) if labels else ():
            if one.label is not None:
                with pen.group("label", data_edge=i):
                    _label(pen, one.label, one.text, colour_of(one.edge, pen.palette), DOTS)
    if placed.message:
        pen.text(placed.width / 2, placed.height / 2, placed.message, NAME_SIZE, pen.palette.muted, "center")


def is_mixed(placed: EdgeLayout) -> bool:
    """Whether some edges were measured and others only estimated."""
    return len({edge.node.measured is None for edge in placed.nodes}) > 1


def _edge(pen: Pen, index: int, placed: PlacedEdge, places: int, mixed: bool) -> None:
    node = placed.node
    hollow = mixed and node.measured is None
    width = max(placed.width, 2.4) if hollow else placed.width
    look = Look(line=colour_of(node, pen.palette), width=width, dash=DASH if node.effect < 0 else None)
    with pen.group("node", say("diagram.edge", name=node.name, effect=effect_text(node, places)), data_node=index):
        pen.curves([placed.path], look, part="line")
        if hollow:
            pen.curves([placed.path], Look(line=pen.palette.background, width=width - 1.6), part="core")


def _part(pen: Pen, index: int, placed: PlacedPart) -> None:
    part, box, ink = placed.part, placed.box, pen.palette
    x = (box.left + box.right) / 2
    with pen.group("part", spoken_part(part.kind, part.name), data_part=index):
        fill = ink.background if part.kind in ("head", "shared") else ink.line
        pen.box(box, Look(fill, ink.muted, 1.1), ROUNDING[part.kind], "symbol")
        name = say("diagram.embeddings") if part.name == "emb" else part.name
        with_ports = part.kind in ("head", "shared")
        y = box.top + 9.5 if with_ports else (box.top + box.bottom) / 2
        pen.text(x, y, name, PART_NAME, ink.text, "center", bold=True)
        for port, (across, below) in placed.ports.items():
            pen.text(across, below - 6.5, port, PORT_SIZE, ink.muted, "center")
            pen.circle(across, below, 1.9, Look(ink.background, ink.muted, 0.9))


def spoken_part(kind: str, name: str) -> str:
    """What a screen reader says of a part."""
    return say(f"diagram.part.{kind}", name=name) if kind in IN_LEGENDS else say("diagram.part.other", name=name)


def _interaction(pen: Pen, index: int, placed: PlacedInteraction, places: int) -> None:
    one, ink = placed.edge, pen.palette
    colour = ink.negative if one.effect < 0 else ink.positive
    with pen.group("edge", f"{sentence(one)}: {effect_text(one, places)}", data_edge=index):
        pen.curves(placed.paths, Look(line=ink.background, width=placed.width + 2.2), part="casing")
        _dotted(pen, placed.paths, colour, placed.width)
        for x, y in placed.ends:
            pen.circle(x, y, 3.2, Look(ink.background, colour, 1.3), part="joint")
        if len(placed.paths) > 1:
            pen.circle(*placed.paths[0][-1], 3.2, Look(colour), part="joint")


def _dotted(pen: Pen, paths: tuple[Path, ...], colour: str, width: float) -> None:
    pen.curves(paths, Look(line=colour, width=width, dash=(max(DOTS[0], width * 0.8), DOTS[1])), part="line")


def _label(pen: Pen, box: Box, text: str, colour: str, dash: tuple[float, float] | None = None) -> None:
    pen.box(box, Look(pen.palette.background, colour, 0.6, dash), 2.5)
    pen.text((box.left + box.right) / 2, (box.top + box.bottom) / 2, text, DETAIL_SIZE, pen.palette.text, "center")


def edge_legend(pen: Pen, placed: EdgeLayout, top: float, right: float, measured: str) -> None:
    """Lines of samples below ``top``; ``measured`` is said of intervals."""
    ink = pen.palette
    shown: list[tuple[str, Sample]] = []
    kinds = {each.part.kind for each in placed.parts}
    for kind in IN_LEGENDS:
        if kind in kinds:
            shown.append((say(f"diagram.kind.{kind}"), functools.partial(_part_sample, kind)))
    signs = {each.node.effect < 0 for each in placed.nodes}
    if False in signs:
        shown.append(
            (say("diagram.positive_edge"), functools.partial(line_sample, Look(line=ink.positive, width=3.0), False))
        )
    if True in signs:
        look = Look(line=ink.negative, width=3.0, dash=DASH)
        shown.append((say("diagram.negative_edge"), functools.partial(line_sample, look, False)))
    grey = Look(line=ink.muted, width=3.0)
    if is_mixed(placed):
        shown.append((measured, functools.partial(line_sample, grey, False)))
        shown.append((say("diagram.estimate"), functools.partial(line_sample, grey, True)))
    else:
        told = measured if any(each.node.measured for each in placed.nodes) else say("diagram.all_estimates")
        shown.append((told, functools.partial(line_sample, grey, False)))
    if placed.edges:
        shown.append((say("diagram.edge_interaction"), _interaction_sample))
    shown.append((say("diagram.edge_width"), _widths_sample))
    in_lines(pen, shown, MARGIN, top + 12, right)


def _part_sample(kind: str, pen: Pen, x: float, y: float) -> None:
    ink = pen.palette
    fill = ink.background if kind in ("head", "shared") else ink.line
    if kind == "shared":
        frame = Box(x + 1, y - 6, x + 23, y + 6)
        pen.box(frame, Look(ink.line, ink.muted, 0.8, (1.5, 2.5), opacity=0.5), FRAME)
    pen.box(Box(x + 5, y - 4, x + 19, y + 4), Look(fill, ink.muted, 1.1), 4.0 if kind != "mlp" else 1.5)


def _interaction_sample(pen: Pen, x: float, y: float) -> None:
    _dotted(pen, (straight((x + 2, y), (x + 20, y)),), pen.palette.muted, 2.0)
    for at in (x + 2, x + 20):
        pen.circle(at, y, 2.6, Look(pen.palette.background, pen.palette.muted, 1.2))


def _widths_sample(pen: Pen, x: float, y: float) -> None:
    for offset, width in ((3, 0.8), (9, 2.0), (17, 4.0)):
        pen.curves([straight((x + offset, y + 5), (x + offset, y - 5))], Look(line=pen.palette.muted, width=width))
