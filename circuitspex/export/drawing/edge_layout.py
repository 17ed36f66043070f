"""Where everything of the drawing of an edge circuit goes: parts of the model in rows, edges between them.

Layers go upward, each with a row for its heads and one for its MLP (``edge_blocks``); the embeddings lie below and the
logits above, as wide bars. Only parts in the circuit are there. A head is a box with its queries, keys and values as
ports at the lower edge. How edges run: ``edge_routing``. Interactions among edges are arcs on top: ``edge_arcs``.

Units are as in ``circuit_layout``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from circuitspex.circuits.circuit import Circuit, Node
from circuitspex.export.drawing import routing
from circuitspex.export.drawing.edge_arcs import PlacedInteraction, arcs, point_at
from circuitspex.export.drawing.edge_blocks import Block, blocks_of, ports_of
from circuitspex.export.drawing.edge_parts import EdgeParts, ModelPart, PartEdge, edge_parts
from circuitspex.export.drawing.edge_routing import Ends, Row, routes
from circuitspex.export.drawing.geometry import Box, Path, Point
from circuitspex.export.drawing.style import DETAIL_SIZE, decimals, effect_number, text_width
from circuitspex.export.words.saying import say

MOST_EDGES = 1_500
"""Of more edges the strongest are drawn."""
MOST_WITH_EFFECTS = 24
"""Up to this many edges, effects are written on them."""
MOST_LABELS = 14
"""So many of the strongest interactions have a label, where there is a place for it."""
MARGIN = 18.0
LAYER_COLUMN = 44.0
MIN_WIDTH = 620.0
WIDTHS = {False: (1.0, 5.0), True: (0.8, 3.4)}
"""The widths of the weakest and the strongest edge; of few edges, of many."""
MANY = 120


@dataclass(frozen=True)
class PlacedPart:
    """A part of the model: its box, and where its ports are."""

    part: ModelPart
    box: Box
    ports: Mapping[str, Point]

    @property
    def middle(self) -> float:
        """The x of its middle."""
        return (self.box.left + self.box.right) / 2


@dataclass(frozen=True)
class PlacedEdge:
    """An edge of the circuit: its curve from below to above, the middle of this, and a place for its effect or None."""

    edge: PartEdge
    path: Path
    width: float
    middle: Point
    text: str = ""
    label: Box | None = None

    @property
    def node(self) -> Node:
        """The component that it is in the circuit."""
        return self.edge.node

    @property
    def x(self) -> float:
        """Of its middle."""
        return self.middle[0]

    @property
    def y(self) -> float:
        """Of its middle."""
        return self.middle[1]


@dataclass(frozen=True)
class EdgeLayout:
    """The coordinates of the drawing of an edge circuit.

    ``nodes`` are the edges, which are the circuit's components, and ``edges`` the interactions among them, as in
    ``circuit_layout.Layout``. ``bands`` are layers with their upper and lower ends, ``frames`` the names of heads
    that share keys and values with the box around them. ``note`` says what is not drawn, ``message`` why nothing is.
    """

    width: float
    height: float
    bands: tuple[tuple[int, float, float], ...] = ()
    parts: tuple[PlacedPart, ...] = ()
    frames: tuple[tuple[tuple[str, ...], Box], ...] = ()
    nodes: tuple[PlacedEdge, ...] = ()
    edges: tuple[PlacedInteraction, ...] = ()
    feeds: tuple[tuple[str, str], ...] = ()
    places: int = 2
    with_effects: bool = True
    message: str = ""
    note: str = ""


def edge_layout(circuit: Circuit, most: int = MOST_EDGES) -> EdgeLayout:
    """Lay an edge circuit out.

    Args:
        circuit: its components are edges.
        most: of more edges the strongest are drawn.

    Raises:
        UserError: what ``edge_parts`` refuses.
    """
    found = edge_parts(circuit, most)
    if not found.edges:
        return EdgeLayout(MIN_WIDTH, 150.0, message=say("diagram.empty_edges"))
    blocks, places, few = blocks_of(found), decimals(circuit), len(found.edges) <= MOST_WITH_EFFECTS
    width, span = _move(blocks)
    block_of = {part.name: block for block in blocks for part in block.parts}
    rows = _rows(found, blocks, block_of, few)
    parts, frames = _parts(blocks, rows)
    edges = _edges(found, block_of, parts, rows, span, places)
    height = rows[0].bottom + MARGIN
    boxes = [each.box for each in parts.values()]
    interactions = arcs(
        found.interactions, {each.node.name: each.path for each in edges}, boxes, places if few else None
    )
    page = Box(LAYER_COLUMN, 0, width, height)
    labelled_edges, labelled = _labelled(edges, interactions, boxes, page, few)
    return EdgeLayout(
        width,
        height,
        _bands(blocks, rows),
        tuple(parts.values()),
        frames,
        labelled_edges,
        labelled,
        found.feeds,
        places,
        few,
        note=found.note,
    )


def _move(blocks: Sequence[Block]) -> tuple[float, tuple[float, float]]:
    """Move all blocks to their places on the page; its width, and between which places edges run."""
    left, right = min(block.ends[0] for block in blocks), max(block.ends[1] for block in blocks)
    side = 34.0 if max(block.row for block in blocks) > 2 else 10.0
    spare = max(0.0, MIN_WIDTH - (right - left) - LAYER_COLUMN - 2 * MARGIN - 2 * side) / 2
    shift = MARGIN + LAYER_COLUMN + side + spare - left
    for block in blocks:
        block.x += shift
    return right + shift + side + spare + MARGIN, (left + shift - side, right + shift + side)


def _rows(found: EdgeParts, blocks: Sequence[Block], block_of: Mapping[str, Block], effects: bool) -> list[Row]:
    """The rows from the bottom up; the more edges pass between two, the further apart they are."""
    count = 1 + max(block.row for block in blocks)
    passing = np.zeros(count + 1, int)
    for each in found.edges:
        passing[block_of[each.source].row + 1 : block_of[each.target].row + 1] += 1  # of the space below each row
    y, rows = MARGIN, list[Row]()
    for number in range(count - 1, -1, -1):
        mine = [block for block in blocks if block.row == number]
        tall = max(block.height for block in mine)
        rows.append(Row(y, y + tall, tuple(sorted(block.ends for block in mine))))
        y += tall + 26.0 + min(44.0, 0.9 * float(passing[number])) + 10.0 * effects
    return rows[::-1]


def _parts(
    blocks: Sequence[Block], rows: Sequence[Row]
) -> tuple[dict[str, PlacedPart], tuple[tuple[tuple[str, ...], Box], ...]]:
    """The parts by name, and the frames around heads that share keys and values."""
    parts: dict[str, PlacedPart] = {}
    frames = list[tuple[tuple[str, ...], Box]]()
    for block in blocks:
        middle = (rows[block.row].top + rows[block.row].bottom) / 2
        boxes = block.boxes(middle)
        parts |= {
            part.name: PlacedPart(part, boxes[part.name], ports_of(part, boxes[part.name])) for part in block.parts
        }
        if block.framed:
            left, right = block.ends
            box = Box(left, middle - block.height / 2, right, middle + block.height / 2)
            frames.append((tuple(part.name for part in block.parts), box))
    return parts, tuple(frames)


def _edges(
    found: EdgeParts,
    block_of: Mapping[str, Block],
    parts: Mapping[str, PlacedPart],
    rows: Sequence[Row],
    span: tuple[float, float],
    places: int,
) -> tuple[PlacedEdge, ...]:
    low, high = WIDTHS[len(found.edges) > MANY]
    largest = max(abs(each.node.effect) for each in found.edges) or 1.0
    strongest = sorted(found.edges, key=lambda each: (-abs(each.node.effect), each.node.name))
    ends = []
    for each in strongest:
        source, target = parts[each.source], parts[each.target]
        start, port = (source.middle, source.box.top), target.ports.get(each.port)
        end = port or _along(target, (target.middle, target.box.bottom), start)
        width = round(low + (high - low) * abs(each.node.effect) / largest, 2)
        rows_of = block_of[each.source].row, block_of[each.target].row
        ends.append(Ends(rows_of[0], _along(source, start, end), rows_of[1], end, width))
    placed = {
        each.node.name: PlacedEdge(each, path, one.width, point_at(path, 0.5), effect_number(each.node, places))
        for each, path, one in zip(strongest, routes(rows, ends, *span), ends, strict=True)
    }
    return tuple(placed[each.node.name] for each in found.edges)


def _along(placed: PlacedPart, end: Point, other: Point) -> Point:
    """Where on the side of a wide part, towards where the edge comes from or goes to; heads have one place."""
    if placed.part.kind in ("head", "shared"):
        return end
    room = (placed.box.right - placed.box.left) / 2 - (8 if placed.part.kind == "mlp" else 14)
    return round(end[0] + max(-room, min(room, (other[0] - end[0]) * 0.6)), 1), end[1]


def _bands(blocks: Sequence[Block], rows: Sequence[Row]) -> tuple[tuple[int, float, float], ...]:
    """The layers from the bottom up, each with the upper and lower end of what belongs to it."""
    found: dict[int, tuple[float, float]] = {}
    for block in blocks:
        layer, row = block.parts[0].layer, rows[block.row]
        if layer is not None:
            top, bottom = found.get(layer, (math.inf, -math.inf))
            found[layer] = min(top, row.top), max(bottom, row.bottom)
    return tuple((layer, top - 9, bottom + 9) for layer, (top, bottom) in sorted(found.items()))


def _labelled(
    edges: tuple[PlacedEdge, ...],
    interactions: Sequence[PlacedInteraction],
    boxes: Sequence[Box],
    page: Box,
    effects: bool,
) -> tuple[tuple[PlacedEdge, ...], tuple[PlacedInteraction, ...]]:
    """Both with places for their labels: of the strongest interactions, and of edges where ``effects`` are written."""
    few = interactions[:MOST_LABELS]
    strongest = sorted(range(len(edges)), key=lambda i: -abs(edges[i].node.effect)) if effects else []
    height = DETAIL_SIZE * 1.3
    wanted: list[tuple[Sequence[Path], Point | None, float, float]] = [
        (one.paths, one.joint, text_width(one.text, DETAIL_SIZE), height) for one in few
    ]
    wanted += [([edges[i].path], None, text_width(edges[i].text, DETAIL_SIZE), height) for i in strongest]
    taken = [*boxes, *(Box(x - 4, y - 4, x + 4, y + 4) for one in interactions for x, y in one.ends)]
    labels = routing.place_labels(wanted, taken, page) if wanted else []
    of_edge = dict(zip(strongest, labels[len(few) :], strict=True))
    of_few = [replace(one, label=box) for one, box in zip(few, labels, strict=False)]
    return (
        tuple(replace(each, label=of_edge.get(i)) for i, each in enumerate(edges)),
        (*of_few, *interactions[len(few) :]),
    )
