"""Mermaid: a flowchart that GitHub, GitLab and many editors render from a ``mermaid`` code block.

Layers are subgraphs, going upward. GitHub refuses diagrams of more than 50,000 characters or 500 links, and its pages
can't raise these limits; of a larger circuit the strongest components and interactions are drawn, and a note in the
diagram says how many.
"""

from __future__ import annotations

import itertools
import json

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.components import KINDS
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.drawing.style import LIGHT, decimals, effect_text, is_signed, shape_of, title_of
from circuitspex.export.graphs import edge_mermaid
from circuitspex.export.graphs.mermaid_text import MAX_LINKS, MAX_TEXT, escaped
from circuitspex.export.graphs.parts import InteractionPart, Part, Parts, parts_of
from circuitspex.files import file_writer

# What stands for the marks of our own drawings.
_SHAPES = {
    "circle": ("([", "])"),
    "up": ("[/", "/]"),
    "hexagon": ("[[", "]]"),
    "square": ("[", "]"),
    "diamond": ("{{", "}}"),
    "bar": ("[(", ")]"),
    "pentagon": ("(", ")"),
    "plus": ("{", "}"),
}


def render(circuit: Circuit) -> str:
    """The circuit as the text of a Mermaid diagram, within the limits of GitHub.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    if is_of_edges(circuit):
        return edge_mermaid.render(circuit)
    parts, places, title = parts_of(circuit), decimals(circuit), title_of(circuit)[:200]
    strongest = sorted(parts.components, key=lambda part: (-abs(part.node.effect), int(part.id[1:])))
    kept = len(strongest)
    while True:
        drawn = _strongest(parts, strongest[:kept])
        text = _text(drawn, places, title, _note(parts, drawn), circuit.has_layers)
        if len(text.encode("utf-16-le", "replace")) // 2 <= MAX_TEXT or kept == 0:
            return text
        kept = kept * 4 // 5


write = file_writer(render)


def _strongest(parts: Parts, components: list[Part]) -> Parts:
    """The parts on these components, with no more links than are allowed."""
    ids = {part.id for part in components}
    spare = MAX_LINKS - len({part.node.layer for part in components})
    interactions = []
    for interaction in parts.interactions:
        size = len(list(interaction.links()))
        if size <= spare and all(part.id in ids for part in interaction.members):
            interactions.append(interaction)
            spare -= size
    return Parts(tuple(part for part in parts.components if part.id in ids), tuple(interactions))


def _note(parts: Parts, drawn: Parts) -> str:
    shown = [
        f"{len(few):,} of {len(all_):,} {what}"
        for few, all_, what in (
            (drawn.components, parts.components, "components"),
            (drawn.interactions, parts.interactions, "interactions"),
        )
        if len(few) < len(all_)
    ]
    return f"only the strongest: {', '.join(shown)}" if shown else ""


def _text(parts: Parts, places: int, title: str, note: str, layered: bool) -> str:
    lines = ["---", f"title: {json.dumps(title, ensure_ascii=False)}", "---", "flowchart BT"]
    layers = parts.layers()
    for i, (layer, members) in enumerate(layers.items()):
        written = f"layer {layer}" if layered else " "
        lines.append(f'  subgraph layer{i} ["{written}"]')
        lines += [f"    {_component(part, places)}" for part in members]
        lines.append("  end")
    if note or not parts.components:
        lines.append(f'  note["{escaped(note or "empty circuit: no component was kept")}"]:::note')
    styles: dict[str, list[int]] = {"positive": [], "negative": [], "unsigned": []}
    links = 0
    for interaction in parts.interactions:
        lines += _interaction(interaction, places)
        count = len(list(interaction.links()))
        styles[_sign(interaction.edge)] += range(links, links + count)
        links += count
    names = [f"layer{i}" for i in range(len(layers))]
    lines += [f"  {a} ~~~ {b}" for a, b in itertools.pairwise(names)]
    unsigned = () if all(part.node.signed for part in parts.components) else (("unsigned", LIGHT.muted),)
    for sign, colour in (("positive", LIGHT.positive), ("negative", LIGHT.negative), *unsigned):
        dash = ",stroke-dasharray:5 3" if sign == "negative" else ""
        lines.append(f"  classDef {sign} fill:{colour}22,stroke:{colour}{dash}")
        lines.append(f"  classDef {sign}Estimate fill:none,stroke:{colour}{dash}")
        if styles[sign]:
            which = ",".join(map(str, styles[sign]))
            lines.append(f"  linkStyle {which} stroke:{colour},stroke-width:2px{dash}")
    return "\n".join([*lines, "  classDef note fill:none,stroke:none", ""])


def _component(part: Part, places: int) -> str:
    node = part.node
    opening, closing = _SHAPES[shape_of(node.kind) if node.kind in KINDS else "square"]
    label = f"{escaped(node.name)}<br/>{escaped(effect_text(node, places))}"
    name = _sign(node) + ("Estimate" if node.measured is None else "")
    return f'{part.id}{opening}"{label}"{closing}:::{name}'


def _interaction(interaction: InteractionPart, places: int) -> list[str]:
    text = f"{effect_text(interaction.edge, places)} {interaction.edge.relation.short}"
    if interaction.joint is None:
        ((a, b),) = interaction.links()
        return [f'  {a} ---|"{escaped(text)}"| {b}']
    joint = f'  {interaction.joint}(["{escaped(text)}"]):::{_sign(interaction.edge)}Estimate'
    return [joint, *(f"  {a} --- {b}" for a, b in interaction.links())]


def _sign(part: Node | Interaction) -> str:
    return "negative" if part.effect < 0 else "positive" if is_signed(part) else "unsigned"
