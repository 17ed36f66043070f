"""Mermaid of a circuit of edges: a flowchart of the model's parts, within the limits of GitHub.

Of more edges than are rendered there, the strongest are drawn, and a note in the diagram says how many. Interactions
among edges are not drawn: Mermaid has no links between links.
"""

from __future__ import annotations

import json

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.edge_parts import EdgeParts, ModelPart, edge_parts
from circuitspex.export.drawing.style import LIGHT, decimals, effect_text, title_of
from circuitspex.export.graphs.edge_graph import ids_of
from circuitspex.export.graphs.mermaid_text import MAX_LINKS, MAX_TEXT, escaped

_SHAPES = {"head": ("([", "])"), "shared": ("([", "])"), "mlp": ("[", "]")}


def render(circuit: Circuit) -> str:
    """The circuit as the text of a Mermaid diagram.

    Raises:
        UserError: what ``edge_parts`` refuses.
    """
    kept = len(circuit.nodes)
    while True:
        found = edge_parts(circuit, kept)
        text = _text(found, decimals(circuit), title_of(circuit)[:200])
        links = len(found.edges) + len(found.feeds)
        if (links <= MAX_LINKS and len(text.encode("utf-16-le", "replace")) // 2 <= MAX_TEXT) or kept == 0:
            return text
        kept = kept * 4 // 5


def _text(found: EdgeParts, places: int, title: str) -> str:
    ids = ids_of(found)
    lines = ["---", f"title: {json.dumps(title, ensure_ascii=False)}", "---", "flowchart BT"]
    layers: dict[int, list[ModelPart]] = {}
    for part in found.parts:
        if part.layer is None:
            lines.append(f"  {_part(part, ids)}")
        else:
            layers.setdefault(part.layer, []).append(part)
    for layer, members in layers.items():
        lines += [
            f'  subgraph layer{layer} ["layer {layer}"]',
            *(f"    {_part(part, ids)}" for part in members),
            "  end",
        ]
    note = " ".join(filter(None, [found.note, _left_out(found)])) or ("" if found.edges else "empty circuit")
    if note:
        lines.append(f'  note["{escaped(note)}"]:::note')
    for each in found.edges:
        text = f"{each.port} {effect_text(each.node, places)}".lstrip()
        lines.append(f'  {ids[each.source]} -->|"{escaped(text)}"| {ids[each.target]}')
    lines += [f"  {ids[shared]} -.- {ids[head]}" for shared, head in found.feeds]
    for negative, colour in ((False, LIGHT.positive), (True, LIGHT.negative)):
        which = ",".join(str(i) for i, each in enumerate(found.edges) if (each.node.effect < 0) == negative)
        dash = ",stroke-dasharray:5 3" if negative else ""
        lines += [f"  linkStyle {which} stroke:{colour},stroke-width:2px{dash}"] if which else []
    return "\n".join([*lines, "  classDef note fill:none,stroke:none", ""])


def _left_out(found: EdgeParts) -> str:
    count = len(found.interactions)
    return f"{count} interactions among edges are not drawn." if count else ""


def _part(part: ModelPart, ids: dict[str, str]) -> str:
    opening, closing = _SHAPES.get(part.kind, ("[[", "]]"))
    return f'{ids[part.name]}{opening}"{escaped(part.name)}"{closing}'
