"""Graphviz DOT of a circuit of edges: parts are nodes, from the embeddings below to the logits above.

An edge ends at the input that it goes to (``headlabel``); an interaction is a dotted line between points on its edges.
"""

from __future__ import annotations

from collections.abc import Iterator

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.export.drawing.edge_parts import EdgeParts, ModelPart, PartEdge, edge_parts
from circuitspex.export.drawing.style import LIGHT, colour_of, decimals, effect_text, faithfulness_text, title_of
from circuitspex.export.graphs.edge_graph import ids_of
from circuitspex.text import printable

MAX_WITH_EFFECTS = 40
"""Up to this many edges, effects are written on them, and not only in tooltips."""


def render(circuit: Circuit) -> str:
    """The circuit as the text of a DOT file.

    Raises:
        UserError: what ``edge_parts`` refuses.
    """
    found, places = edge_parts(circuit), decimals(circuit)
    ids, shown = ids_of(found), len(found.edges) <= MAX_WITH_EFFECTS
    lines = [
        "digraph circuit {",
        '  graph [rankdir=BT, charset="UTF-8", labelloc=t, fontname="DejaVu Sans", '
        f"label={quoted(title_of(circuit), faithfulness_text(circuit))}];",
        f'  node [shape=box, fontname="DejaVu Sans", fontsize=10, fontcolor="{LIGHT.text}", color="{LIGHT.muted}"];',
        f'  edge [fontname="DejaVu Sans", fontsize=8, fontcolor="{LIGHT.text}", arrowsize=0.6];',
    ]
    rows: dict[tuple[float, int], list[ModelPart]] = {}
    for part in found.parts:
        rows.setdefault(part.order[:2], []).append(part)
    for members in rows.values():
        lines += ["  {", "    rank=same;", *(f"    {ids[part.name]} [{_part(part)}];" for part in members), "  }"]
    for shared, head in found.feeds:
        lines.append(f'  {ids[shared]} -> {ids[head]} [style=dotted, color="{LIGHT.muted}", arrowhead=none];')
    interacting = {name for one in found.interactions for name in one.components}
    largest = max((abs(each.node.effect) for each in found.edges), default=0.0) or 1.0
    points: dict[str, str] = {}
    for i, each in enumerate(found.edges):
        if each.node.name in interacting:
            points[each.node.name] = f"p{i}"
        lines += _edge(each, ids, points.get(each.node.name), places, shown, largest)
    lines += _interactions(found, points, places, shown)
    return "\n".join([*lines, "}", ""])


def quoted(*lines: str) -> str:
    """Text as one of DOT's quoted strings, in which quotes, backslashes and entities stand for themselves."""
    escaped = (printable(line).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def _part(part: ModelPart) -> str:
    style = {"head": "rounded", "shared": '"rounded,dashed"'}.get(part.kind, "filled")
    return f'label={quoted(part.name)}, style={style}, fillcolor="{LIGHT.line}"'


def _edge(
    each: PartEdge, ids: dict[str, str], point: str | None, places: int, shown: bool, largest: float
) -> Iterator[str]:
    text = effect_text(each.node, places)
    width = 0.7 + 3.3 * abs(each.node.effect) / largest
    look = f'color="{_colour(each.node)}", style={_line(each.node)}, penwidth={width:.2f}'
    look += f", tooltip={quoted(f'{each.node.name}: {text}')}"
    port = f", headlabel={quoted(each.port)}" if each.port else ""
    label = f", label={quoted(text)}" if shown else ""
    source, target = ids[each.source], ids[each.target]
    if point is None:
        yield f"  {source} -> {target} [{look}{port}{label}];"
        return
    yield f'  {point} [shape=point, width=0.06, color="{_colour(each.node)}"];'
    yield f"  {source} -> {point} [{look}, arrowhead=none];"
    yield f"  {point} -> {target} [{look}{port}{label}];"


def _interactions(found: EdgeParts, points: dict[str, str], places: int, shown: bool) -> Iterator[str]:
    for i, one in enumerate(found.interactions):
        text = f"{one.relation.short} {effect_text(one, places)}"
        tooltip = quoted(f"{' × '.join(one.components)}: {text}")
        look = f'color="{_colour(one)}", style=dotted, penwidth=1.8, dir=none, constraint=false, tooltip={tooltip}'
        ends = [points[name] for name in one.components]
        if len(ends) == 2:
            label = f", label={quoted(text)}" if shown else ""
            yield f"  {ends[0]} -> {ends[1]} [{look}{label}];"
            continue
        yield f'  j{i} [shape=point, width=0.09, color="{_colour(one)}", tooltip={tooltip}];'
        yield from (f"  {end} -> j{i} [{look}];" for end in ends)


def _colour(part: Node | Interaction) -> str:
    return colour_of(part, LIGHT)


def _line(part: Node) -> str:
    return "dashed" if part.effect < 0 else "solid"
