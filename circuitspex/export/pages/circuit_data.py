"""What the script of a circuit's page is given: the parts in the diagram's order, with numbers as they are printed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.circuits.group import Group
from circuitspex.errors import UserError
from circuitspex.export.drawing.circuit_layout import Layout, PlacedNode
from circuitspex.export.drawing.claims import is_hollow, measured_label
from circuitspex.export.drawing.edge_layout import EdgeLayout, PlacedEdge
from circuitspex.export.drawing.style import (
    direction_text,
    effect_number,
    estimate_text,
    interval,
    is_signed,
    number,
    others_text,
    reading_order,
)
from circuitspex.export.files.circuit import to_json
from circuitspex.export.pages import described
from circuitspex.export.pages.again import python
from circuitspex.export.pages.described import short, three
from circuitspex.export.pages.heat import heat
from circuitspex.export.words.relations import group_name, sentence
from circuitspex.export.words.relations import short as relation_short
from circuitspex.export.words.saying import say_term
from circuitspex.text import printable

MOST_JSON = 700_000
"""A ``circuit.json`` of more characters than this is not carried by its page."""
_DIGITS = 18
"""Of a number in it, about."""


def data(
    placed: Layout | EdgeLayout, circuit: Circuit, places: int, metric: str, groups: Sequence[Group] = ()
) -> dict[str, Any]:
    """Everything that the script needs."""
    marks: Sequence[PlacedNode | PlacedEdge] = placed.nodes
    strongest = max(marks, key=lambda mark: abs(mark.node.effect), default=None)
    nodes = [mark.node for mark in placed.nodes]
    of_others = circuit.description is not None and bool(circuit.description.prompts)
    rank = {node.name: i for i, node in enumerate(sorted(nodes, key=reading_order))}
    return {
        "places": places,
        "metric": metric,
        "others": others_text(circuit),
        "measured": measured_label(circuit),
        "with_effects": placed.with_effects,
        "focus": None if strongest is None else [strongest.x, strongest.y],
        "nodes": [
            {
                "name": mark.node.name,
                "layer": mark.node.layer if circuit.has_layers else None,
                "kind": mark.node.kind,
                "word": say_term("kind", mark.node.kind),
                "rank": rank[mark.node.name],
                "at": [round(mark.x, 1), round(mark.y, 1)],
                **_numbers(mark.node, places),
                **_about(circuit, mark.node.name),
            }
            for mark in placed.nodes
        ],
        "edges": [_edge(mark.edge, places) for mark in placed.edges],
        "dropped": [_edge(edge, places) for edge in circuit.dropped],
        "prompts": described.prompts(circuit.task.get("prompts")),
        # Null where those are the same.
        "attended": described.prompts(circuit.described_prompts) if of_others else None,
        "described": circuit.description is not None,
        "heat": heat(circuit, nodes),
        "groups": [
            {"name": printable(group.name), "shown": printable(group_name(group)), "members": list(group.members)}
            for group in groups
        ],
        "identity": str(circuit.model.get("identity") or ""),
        "python": python(circuit),
        "json": _file(circuit),
    }


def _about(circuit: Circuit, name: str) -> Mapping[str, Any]:
    found = circuit.description
    return {} if found is None or name not in found else {"about": described.about(found[name])}


def groups_of(circuit: Circuit) -> tuple[Group, ...]:
    """Components that belong together; none where the interactions don't allow to tell."""
    try:
        return circuit.groups()
    except UserError:
        return ()


def _file(circuit: Circuit) -> str | None:
    """``circuit.json`` as text; None where it is large, or can't be written."""
    abouts = () if circuit.description is None else circuit.description.components
    attention = sum(len(row) for about in abouts if about.looks is not None for row in about.looks.per_prompt)
    if attention * _DIGITS > MOST_JSON:
        return None  # not worth the time to write it
    try:
        text = json.dumps(to_json(circuit), separators=(",", ":"), allow_nan=False)
    except (UserError, ValueError):
        return None
    return text if len(text) <= MOST_JSON else None


def _edge(edge: Interaction, places: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "components": list(edge.components),
        "label": relation_short(edge),
        "sentence": sentence(edge),
        **_numbers(edge, places),
    }
    for key, table in (("table", edge.table), ("unablated", edge.unablated)):
        if table:
            found[key] = [[[int(kept) for kept in row.kept], short(row.value)] for row in table]
    if edge.pair is not None:
        found["conditional"] = [
            [each.component, each.other, estimate_text(each.ablated, places), estimate_text(each.kept, places)]
            for each in edge.pair.conditional
        ]
    if edge.direction is not None:
        found["path"] = direction_text(edge.direction)
        found["share"] = three(edge.direction.share)
    return found


def _numbers(part: Node | Interaction, places: int) -> dict[str, Any]:
    measured, shown = part.measured, part.shown
    found: dict[str, Any] = {"per_prompt": [short(value) for value in part.per_prompt]} if part.per_prompt else {}
    if not is_signed(part):
        found["signed"] = False
    if part.q is not None:
        found["q"] = f"{part.q:.2g}"
    if is_hollow(part):
        found["hollow"] = True
    return found | {
        "effect": part.effect,
        "value": effect_number(part, places),
        "interval": "" if measured is None else interval(measured.low, measured.high, places),
        "shown": "" if shown is None else interval(shown.low, shown.high, places),
        "decoded": number(part.decoded, places) if is_signed(part) else effect_number(part, places),
    }
