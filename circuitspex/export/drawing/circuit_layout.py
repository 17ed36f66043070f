"""Where everything of a circuit diagram goes: the one layout that every drawing uses.

Layers go upward; only layers that hold a component get a row, labelled with the layer's number. What has no layers
(words, examples, players of other games) is wrapped into rows without labels. A layer that is too
wide is wrapped into rows of its own. Components stand across a row with their labels to the right. An edge that passes
other rows keeps a lane of its own there, so that it runs beside labels and not behind them. An interaction of three or
more components meets in a joint point, in a lane between two rows.

Units are points (1/72 inch) in figures and pixels in HTML; x goes right and y goes down. The same circuit gives the
same layout, whatever the order of its nodes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.errors import UserError
from circuitspex.export.drawing import routing
from circuitspex.export.drawing.geometry import Box, Path, Point
from circuitspex.export.drawing.layered import Link, Reach, arrange
from circuitspex.export.drawing.marks import Arrow, arrowhead, radius_of, width_of
from circuitspex.export.drawing.style import (
    DETAIL_SIZE,
    NAME_SIZE,
    RING_GAP,
    decimals,
    effect_text,
    reading_order,
    relation_text,
    text_width,
)
from circuitspex.export.words.saying import say

MAX_WITH_EFFECTS = 40
"""Up to this many nodes, effects are printed beside the components and interactions."""
MAX_LANES = 160
"""Beyond this many interactions, the weakest get no lane of their own."""
MAX_PASSED = 8_000
"""Beyond this many rows that lanes pass, all taken together, weaker interactions get none."""
MAX_LABELS = 600
"""Beyond this many interactions, the weakest get no place for a label."""
MAX_DRAWN = 20_000
"""Diagrams of more components or interactions are not drawn."""
WRAP_WIDTH = 860.0
MIN_WIDTH = 480.0
MARGIN = 18.0
LAYER_COLUMN = 44.0
LABEL_GAP = 5.0
JOINT_RADIUS = 3.5
BAND = 22.0


@dataclass(frozen=True)
class PlacedNode:
    """A component: its symbol's centre and radius, its lines of text, and the boxes that symbol and label fill.

    A ``faint`` one keeps its place in the diagram but is not part of the circuit.
    """

    node: Node
    x: float
    y: float
    radius: float
    lines: tuple[str, ...]
    label: Box
    symbol: Box
    faint: bool = False


@dataclass(frozen=True)
class PlacedEdge:
    """An interaction: its curves (one for a pair; one a member for a hyperedge, which meet in ``joint``).

    ``label`` is where ``text`` can stand without hiding a component; None where there is no such place.
    Drawings show it where the layout is ``with_effects``, others only on request. ``arrow`` is the tip and the two
    corners of the head of an arrow, where the interaction was measured to travel towards one of its components.
    """

    edge: Interaction
    paths: tuple[Path, ...]
    width: float
    text: str
    joint: Point | None = None
    label: Box | None = None
    arrow: Arrow | None = None
    faint: bool = False


@dataclass(frozen=True)
class LayerBand:
    """The stretch of the diagram that belongs to one layer; ``y`` is where its number is written."""

    layer: int
    top: float
    bottom: float
    y: float


@dataclass(frozen=True)
class Layout:
    """A diagram's coordinates. ``places`` is how many decimals effects have; ``message`` says why nothing is drawn."""

    width: float
    height: float
    bands: tuple[LayerBand, ...]
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]
    with_effects: bool
    places: int = 2
    message: str = ""
    looked_for_interactions: bool = True


def layout(circuit: Circuit, notes: Mapping[frozenset[str], str] | None = None) -> Layout:
    """Lay the circuit out.

    Args:
        circuit: what to draw.
        notes: short texts that stand after a component's name or before an interaction's effect.

    Raises:
        UserError: an edge names a component that is not a node, or an effect is not finite.
    """
    for what, count in (("components", len(circuit.nodes)), ("interactions", len(circuit.interactions))):
        if count > MAX_DRAWN:
            raise UserError(
                f"a diagram has at most {MAX_DRAWN:,} {what}, and this circuit {count:,}: draw a smaller one (find "
                "with a smaller max_nodes, or choose), or export it as graphml, gexf, csv or json, which have no limit"
            )
    if not circuit.nodes:
        return Layout(MIN_WIDTH, 150.0, (), (), (), True, message=say("diagram.empty"))
    nodes = sorted(circuit.nodes, key=reading_order)
    place = {node.name: i for i, node in enumerate(nodes)}
    parts: list[Node | Interaction] = [*nodes, *circuit.interactions]
    for part in parts:
        if not math.isfinite(part.effect):
            name = part.name if isinstance(part, Node) else ", ".join(part.components)
            raise UserError(f"the effect of {name} is {part.effect}; only finite effects can be drawn")
    for edge in circuit.interactions:
        for name in edge.components:
            if name not in place:
                raise UserError(f"the interaction of {', '.join(edge.components)} names {name}, which is not a node")
    edges = sorted(circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))
    built = _Builder(nodes, edges, place, decimals(circuit), notes or {}).build()
    bands = built.bands if circuit.has_layers else ()
    return replace(built, bands=bands, looked_for_interactions=circuit.looked_for_interactions)


def arrow_of(edge: Interaction, paths: Sequence[Path], nodes: Mapping[str, PlacedNode], width: float) -> Arrow | None:
    """The arrowhead of an interaction some of which was measured to travel one way: the share's interval is above 0."""
    if edge.direction is None or edge.direction.share.low <= 0:
        return None
    target = nodes[edge.direction.target]
    return arrowhead(paths, (target.x, target.y), target.radius, target.node.effect < 0, width)


class _Builder:
    """Holds the vertices of the layered graph while it grows: nodes first, then joints and lanes."""

    def __init__(
        self,
        nodes: Sequence[Node],
        edges: Sequence[Interaction],
        place: dict[str, int],
        places: int,
        notes: Mapping[frozenset[str], str],
    ) -> None:
        self.nodes, self.edges, self.place, self.places = nodes, edges, place, places
        self.with_effects = len(nodes) <= MAX_WITH_EFFECTS
        largest = max(abs(node.effect) for node in nodes)
        self.radius = [radius_of(node.effect, largest) for node in nodes]
        names = [f"{node.name} {notes.get(frozenset((node.name,)), '')}".rstrip() for node in nodes]
        self.lines = [
            (name, effect_text(node, places)) if self.with_effects else (name,)
            for name, node in zip(names, nodes, strict=True)
        ]
        self.texts = [
            f"{notes.get(frozenset(edge.components), '')} {relation_text(edge)}{effect_text(edge, places)}".lstrip()
            for edge in edges
        ]
        self.label_width = [
            max(text_width(text, DETAIL_SIZE if i else NAME_SIZE, bold=i == 0) for i, text in enumerate(lines))
            for lines in self.lines
        ]
        self.reach = [
            Reach(radius + RING_GAP + 7, radius + RING_GAP + LABEL_GAP + width + 5)
            for radius, width in zip(self.radius, self.label_width, strict=True)
        ]
        self.links: list[Link] = []
        self.passed = 0
        self.largest_edge = max((abs(edge.effect) for edge in edges), default=0.0) or 1.0

    def build(self) -> Layout:
        rows, layer_of_row = self._wrap()
        self.row_of = {v: 2 * r for r, row in enumerate(rows) for v in row}  # odd rows hold joints
        self.rows: list[list[int]] = [rows[r // 2] if r % 2 == 0 else [] for r in range(2 * len(rows))]
        self.joints = {i: self._joint(i, edge) for i, edge in enumerate(self.edges) if edge.order > 2}
        routes = [self._route(i, edge) for i, edge in enumerate(self.edges)]
        x = arrange([row for row in self.rows if row], self.reach, self.links)
        left = min(x[v] - self.reach[v].left for v in range(len(x)))
        right = max(x[v] + self.reach[v].right for v in range(len(x)))
        spare = max(0.0, MIN_WIDTH - LAYER_COLUMN - 2 * MARGIN - (right - left)) / 2
        shift = MARGIN + LAYER_COLUMN + spare - left
        width = shift + right + spare + MARGIN
        arcs = routing.arc_levels(
            [(self.row_of[a], x[a], x[b]) for a, b in (route[0] for route in routes if self._is_arc(route))]
        )
        gap = (66.0 if self.with_effects else 50.0) + 10 * min(max(arcs, default=0), 4)
        gap += 10 * any(self.rows[1::2])
        top = MARGIN + (gap * 0.72 if self.rows[-1] or self._arcs_on_top(routes) else 30.0)
        height = top + gap * (len(rows) - 1) + 30.0 + MARGIN
        y = [height - MARGIN - 30.0 - gap * (self.row_of[v] // 2 + 0.55 * (self.row_of[v] % 2)) for v in range(len(x))]
        points = [(round(x[v] + shift, 2), round(y[v], 2)) for v in range(len(x))]
        placed = tuple(self._placed(i, points[i]) for i in range(len(self.nodes)))
        by_name, drawn = {mark.node.name: mark for mark in placed}, list[PlacedEdge]()
        level = iter(arcs)
        for i, (edge, route) in enumerate(zip(self.edges, routes, strict=True)):
            if self._is_arc(route):
                rise = min(34.0 + 13 * next(level), gap * 0.86)
                paths: tuple[Path, ...] = (routing.arc(points[route[0][0]], points[route[0][1]], rise),)
            else:
                paths = tuple(routing.curve([points[v] for v in chain]) for chain in route)
            joint = points[self.joints[i]] if i in self.joints else None
            line = width_of(edge.effect, self.largest_edge)
            arrow = arrow_of(edge, paths, by_name, line)
            drawn.append(PlacedEdge(edge, paths, line, self.texts[i], joint, arrow=arrow))
        labels = self._labels(placed, drawn, Box(MARGIN, 0, width - MARGIN, height))
        edges = tuple(replace(mark, label=box) for mark, box in zip(drawn, labels, strict=True))
        bands = self._bands(layer_of_row, height, gap)
        return Layout(round(width, 2), round(height, 2), bands, placed, edges, self.with_effects, self.places)

    def _wrap(self) -> tuple[list[list[int]], list[int]]:
        """The nodes of each row, from the bottom up, and the layer of each row."""
        rows: list[list[int]] = []
        layers: list[int] = []
        of_layer: dict[int, list[int]] = {}
        for v, node in enumerate(self.nodes):
            of_layer.setdefault(node.layer, []).append(v)
        for layer, members in sorted(of_layer.items()):
            total = sum(self.reach[v].left + self.reach[v].right for v in members)
            n_rows = min(len(members), int(total // WRAP_WIDTH) + 1)
            for part in range(n_rows):
                rows.append(members[part * len(members) // n_rows : (part + 1) * len(members) // n_rows])
                layers.append(layer)
        return rows, layers

    def _members(self, edge: Interaction) -> list[int]:
        return sorted((self.place[name] for name in edge.components), key=lambda v: (self.row_of[v], v))

    def _joint(self, index: int, edge: Interaction) -> int:
        """A new vertex between two rows, near the middle of the members, where their curves meet."""
        rows = [self.row_of[v] for v in self._members(edge)]
        middle = rows[(len(rows) - 1) // 2]
        row = middle - 1 if rows[0] < middle == rows[-1] else middle + 1
        width = text_width(self.texts[index], DETAIL_SIZE) if self.with_effects else 0.0
        return self._vertex(row, Reach(JOINT_RADIUS + 8, JOINT_RADIUS + 8 + width))

    def _route(self, index: int, edge: Interaction) -> list[list[int]]:
        """The vertices that an interaction's curves pass, a chain each; makes its lanes in the rows between."""
        members, lanes = self._members(edge), index < MAX_LANES
        share = 1 + 2 * abs(edge.effect) / self.largest_edge
        if index in self.joints:
            return [self._chain(self.joints[index], v, share, lanes) for v in members]
        return [self._chain(members[0], members[1], share, lanes)]

    def _vertex(self, row: int, reach: Reach) -> int:
        self.reach.append(reach)
        vertex = len(self.reach) - 1
        self.rows[row].append(vertex)
        self.row_of[vertex] = row
        return vertex

    def _chain(self, first: int, last: int, weight: float, lanes: bool) -> list[int]:
        start, stop = self.row_of[first], self.row_of[last]
        step = 1 if stop > start else -1
        lanes = lanes and self.passed + abs(stop - start) // 2 <= MAX_PASSED
        passed = [row for row in range(start + step, stop, step) if self.rows[row]] if lanes else []
        self.passed += len(passed)
        chain = [first, *(self._vertex(row, Reach(6, 6)) for row in passed), last]
        for a, b in itertools.pairwise(chain):
            both_lanes = a >= len(self.nodes) and b >= len(self.nodes)
            self.links.append(Link(a, b, weight * (8.0 if both_lanes else 1.0)))
        return [v for v in chain if v in (first, last) or self.row_of[v] % 2 == 0]

    def _is_arc(self, route: list[list[int]]) -> bool:
        return len(route) == 1 and self.row_of[route[0][0]] == self.row_of[route[0][-1]]

    def _arcs_on_top(self, routes: list[list[list[int]]]) -> bool:
        return any(self._is_arc(route) and self.row_of[route[0][0]] == len(self.rows) - 2 for route in routes)

    def _placed(self, index: int, at: Point) -> PlacedNode:
        (x, y), radius, lines = at, self.radius[index], self.lines[index]
        left = x + radius + RING_GAP + LABEL_GAP
        half = (NAME_SIZE * 1.3 + (DETAIL_SIZE * 1.35 if len(lines) > 1 else 0)) / 2
        outer = radius + RING_GAP
        return PlacedNode(
            self.nodes[index],
            x,
            y,
            round(radius, 2),
            lines,
            Box(round(left, 2), y - half, round(left + self.label_width[index], 2), y + half),
            Box(x - outer, y - outer, x + outer, y + outer),
        )

    def _labels(self, nodes: Sequence[PlacedNode], edges: Sequence[PlacedEdge], page: Box) -> list[Box | None]:
        taken = [box for node in nodes for box in (node.label, node.symbol)]
        height = DETAIL_SIZE * 1.35
        wanted = [(edge.paths, edge.joint, text_width(edge.text, DETAIL_SIZE), height) for edge in edges[:MAX_LABELS]]
        return [*routing.place_labels(wanted, taken, page), *[None] * (len(edges) - len(wanted))]

    def _bands(self, layer_of_row: list[int], height: float, gap: float) -> tuple[LayerBand, ...]:
        bands, rows_of = [], dict[int, list[int]]()
        for r, layer in enumerate(layer_of_row):
            rows_of.setdefault(layer, []).append(r)
        for layer, rows in rows_of.items():
            low, high = (height - MARGIN - 30.0 - gap * r for r in (rows[0], rows[-1]))
            bands.append(LayerBand(layer, round(high - BAND, 2), round(low + BAND, 2), round((low + high) / 2, 2)))
        return tuple(bands)
