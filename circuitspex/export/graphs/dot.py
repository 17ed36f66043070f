"""Graphviz DOT: ``dot -Tsvg circuit.dot`` draws the circuit, layers going upward.

A layer's components share a rank. Positive effects are blue and solid, negative ones vermilion and dashed; measured
components are filled, estimates hollow. Tooltips carry effect and interval.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.components import KINDS
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.drawing.style import (
    LIGHT,
    colour_of,
    decimals,
    effect_text,
    faithfulness_text,
    shape_of,
    title_of,
)
from circuitspex.export.graphs import edge_dot
from circuitspex.export.graphs.edge_dot import quoted
from circuitspex.export.graphs.parts import InteractionPart, Part, parts_of
from circuitspex.files import file_writer

MAX_WITH_EFFECTS = 40
"""Up to this many components, effects are written beside components and interactions, and not only in tooltips."""
# What stands for the marks of our own drawings.
_SHAPES = {
    "circle": "ellipse",
    "up": "triangle",
    "hexagon": "hexagon",
    "square": "box",
    "diamond": "diamond",
    "bar": "cylinder",
    "pentagon": "pentagon",
    "plus": "octagon",
}


def render(circuit: Circuit) -> str:
    """The circuit as the text of a DOT file.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    if is_of_edges(circuit):
        return edge_dot.render(circuit)
    parts, places = parts_of(circuit), decimals(circuit)
    shown = len(parts.components) <= MAX_WITH_EFFECTS
    title = quoted(title_of(circuit), faithfulness_text(circuit))
    lines = [
        "graph circuit {",
        f'  graph [rankdir=BT, charset="UTF-8", labelloc=t, fontname="DejaVu Sans", label={title}];',
        f'  node [fontname="DejaVu Sans", fontsize=10, fontcolor="{LIGHT.text}"];',
        f'  edge [fontname="DejaVu Sans", fontsize=8, fontcolor="{LIGHT.text}"];',
    ]
    layers = parts.layers()
    for i, (layer, members) in enumerate(layers.items()):
        lines.append("  {")
        lines.append("    rank=same;")
        written = f"layer {layer}" if circuit.has_layers else ""
        lines.append(f'    layer{i} [shape=plaintext, fontcolor="{LIGHT.muted}", label="{written}"];')
        lines += [f"    {part.id} [{_component(part, places, shown)}];" for part in members]
        lines.append("  }")
    names = [f"layer{i}" for i in range(len(layers))]
    lines += [f"  {a} -- {b} [style=invis, weight=0];" for a, b in itertools.pairwise(names)]
    largest = max((abs(interaction.edge.effect) for interaction in parts.interactions), default=0.0)
    for interaction in parts.interactions:
        lines += _interaction(interaction, places, shown, largest)
    return "\n".join([*lines, "}", ""])


write = file_writer(render)


def _component(part: Part, places: int, shown: bool) -> str:
    node, text = part.node, effect_text(part.node, places)
    filled = "" if node.measured is None else ",filled"
    return ", ".join(
        [
            f"shape={_SHAPES[shape_of(node.kind)] if node.kind in KINDS else 'ellipse'}",
            f"label={quoted(node.name, text) if shown else quoted(node.name)}",
            f"tooltip={quoted(f'{node.name}: {text}')}",
            f'color="{_colour(node)}"',
            f'fillcolor="{_colour(node)}22"',
            f'style="{_line(node)}{filled}"',
        ]
    )


def _interaction(interaction: InteractionPart, places: int, shown: bool, largest: float) -> Iterator[str]:
    edge = interaction.edge
    text = f"{effect_text(edge, places)} {edge.relation.short}"
    members = " × ".join(part.node.name for part in interaction.members)
    width = 0.8 + 3.2 * (abs(edge.effect) / largest if largest else 0.0)
    tooltip = quoted(f"{members}: {text}")
    look = f'color="{_colour(edge)}", style={_line(edge)}, penwidth={width:.2f}, tooltip={tooltip}'
    label = f", {'xlabel' if interaction.joint else 'label'}={quoted(effect_text(edge, places))}" if shown else ""
    if interaction.joint is not None:
        point = f'shape=point, width=0.09, color="{_colour(edge)}", tooltip={tooltip}'
        yield f"  {interaction.joint} [{point}{label}];"
        label = ""
    for a, b in interaction.links():
        yield f"  {a} -- {b} [{look}{label}];"


def _colour(part: Node | Interaction) -> str:
    return colour_of(part, LIGHT)


def _line(part: Node | Interaction) -> str:
    return "dashed" if part.effect < 0 else "solid"
