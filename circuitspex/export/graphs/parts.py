"""A circuit as plain graph parts: ids without special characters, and joints for interactions of three or more.

The graph formats (DOT, Mermaid, GraphML, GEXF) know nodes and edges between two of them. An interaction of two
components becomes an edge; one of three or more becomes a *joint*, a node of its own that is linked to every member.
Interactions are sets, so that links have no direction; they are written from the earlier layer to the later.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.errors import UserError
from circuitspex.export.drawing.style import faithfulness_text, is_signed, reading_order, title_of
from circuitspex.text import xml

Value = str | float | int | bool


@dataclass(frozen=True)
class Part:
    """A component, by its id in the file."""

    id: str
    node: Node


@dataclass(frozen=True)
class InteractionPart:
    """An interaction, its members from the earliest layer on; three or more of them meet in a joint, here by its id."""

    id: str
    edge: Interaction
    members: tuple[Part, ...]
    joint: str | None

    def links(self) -> Iterator[tuple[str, str]]:
        """The pairs of ids to connect: members of the first layer to the joint, the joint to those above."""
        if self.joint is None:
            yield self.members[0].id, self.members[1].id
            return
        first = self.members[0].node.layer
        for member in self.members:
            yield (member.id, self.joint) if member.node.layer == first else (self.joint, member.id)


@dataclass(frozen=True)
class Parts:
    """The components by layer, and the interactions from the strongest to the weakest."""

    components: tuple[Part, ...]
    interactions: tuple[InteractionPart, ...]
    layered: bool = True

    def layers(self) -> dict[int, list[Part]]:
        """The components of each layer that has any, lowest layer first."""
        found: dict[int, list[Part]] = {}
        for part in self.components:
            found.setdefault(part.node.layer, []).append(part)
        return found


def parts_of(circuit: Circuit) -> Parts:
    """The parts of a circuit, in an order that does not depend on the order of its nodes and edges.

    Raises:
        UserError: a component is there twice, an interaction names one that is not there or names one twice, or a
            number is not finite.
    """
    nodes = sorted(circuit.nodes, key=reading_order)
    components = tuple(Part(f"n{i}", node) for i, node in enumerate(nodes))
    by_name = {part.node.name: part for part in components}
    for part in components:
        if by_name[part.node.name] is not part:
            raise UserError(f"the component {part.node.name!r} is in the circuit twice")
    for node in nodes:
        _check_numbers(node, repr(node.name))
    interactions = []
    for i, edge in enumerate(sorted(circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))):
        what = "the interaction of " + ", ".join(map(repr, edge.components))
        missing = [name for name in edge.components if name not in by_name]
        if missing:
            raise UserError(f"{what} names {missing[0]!r}, which is not a node")
        if len(set(edge.components)) != edge.order or edge.order < 2:
            raise UserError(f"{what} needs two or more different components")
        _check_numbers(edge, what)
        members = tuple(sorted((by_name[name] for name in edge.components), key=lambda part: int(part.id[1:])))
        interactions.append(InteractionPart(f"e{i}", edge, members, f"j{i}" if edge.order > 2 else None))
    return Parts(components, tuple(interactions), circuit.has_layers)


def numbers_of(part: Node | Interaction) -> dict[str, Value]:
    """Effect, interval (where it was measured) and decoded effect, named as every table of the exports names them."""
    found: dict[str, Value] = {
        "effect": float(part.effect),
        "measured": part.measured is not None,
        "decoded": float(part.decoded),
    }
    if part.measured is not None:
        found |= {"low": float(part.measured.low), "high": float(part.measured.high)}
    if not is_signed(part):
        found["signed"] = False  # only the size is known
    return found


def needs_signs(circuit: Circuit, what: str) -> None:
    """Nothing where the sign of every effect is known.

    Raises:
        UserError: it is not, and ``what`` would state one.
    """
    unsigned = next((node.name for node in circuit.nodes if not node.signed), None)
    if unsigned is not None:
        raise UserError(
            f"{what} states the sign of every effect, and that of {unsigned} is not known; read the graph with "
            "sign='ablation' or 'attribution', whichever its scores are"
        )


def component_fields(part: Part, layered: bool = True) -> dict[str, Value]:
    """What a graph file says of a component; words, examples and other players are in no layer."""
    node = part.node
    fields: dict[str, Value] = {"role": "component", "name": node.name}
    fields |= {"layer": int(node.layer)} if layered else {}
    return fields | {"kind": node.kind} | numbers_of(node)


def interaction_fields(interaction: InteractionPart) -> dict[str, Value]:
    """What a graph file says of an interaction: of its edge for two components, of its joint for more."""
    names = " × ".join(part.node.name for part in interaction.members)
    edge = interaction.edge
    fields: dict[str, Value] = {"role": "interaction", "name": names, "order": edge.order}
    fields |= {"label": edge.relation.short, "relation": edge.relation.word}
    return fields | numbers_of(edge) | evidence_of(edge)


def evidence_of(edge: Interaction) -> dict[str, Value]:
    """What is known of an interaction beside its effect, as far as it was measured.

    Its q value; how much of it travels along which path; of a pair, which component does what its relation says to
    which, and what each of the two does without and with the other one.
    """
    found: dict[str, Value] = {} if edge.q is None else {"q": float(edge.q)}
    relation = edge.relation
    if relation.source is not None and relation.target is not None:
        found |= {"relation_from": relation.source, "relation_to": relation.target}
    for place, each in zip((1, 2), () if edge.pair is None else edge.pair.conditional, strict=False):
        found[f"conditional_{place}"] = each.component
        for when, effect in (("without", each.ablated), ("with", each.kept)):
            found[f"{when}_{place}"] = float(effect.value)
            found |= {f"{when}_{place}_low": float(effect.low), f"{when}_{place}_high": float(effect.high)}
    if edge.direction is not None:
        share = edge.direction.share
        found |= {"path_from": edge.direction.source, "path_to": edge.direction.target}
        found |= {"path_share": float(share.value), "path_low": float(share.low), "path_high": float(share.high)}
    return found


def graph_of(circuit: Circuit) -> Any:
    """The circuit as a ``networkx.MultiGraph``, whose attributes XML can hold.

    Components are nodes of role 'component'. An interaction of two is an edge of role 'interaction'; one of three or
    more is a node of that role (a joint) with an edge of role 'member' to each of its components. A joint comes after
    the components of its first layer, so that edges are written from the earlier layer to the later.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    import networkx

    parts = parts_of(circuit)
    graph = networkx.MultiGraph(title=xml(title_of(circuit)), faithfulness=xml(faithfulness_text(circuit)))
    for layer, members in parts.layers().items():
        for part in members:
            graph.add_node(part.id, **_in_xml(component_fields(part, parts.layered)))
        for interaction in parts.interactions:
            if interaction.joint is not None and interaction.members[0].node.layer == layer:
                graph.add_node(interaction.joint, **_in_xml(interaction_fields(interaction)))
    for interaction in parts.interactions:
        for i, (source, target) in enumerate(interaction.links()):
            if interaction.joint is None:
                graph.add_edge(source, target, key=interaction.id, **_in_xml(interaction_fields(interaction)))
            else:
                graph.add_edge(source, target, key=f"{interaction.id}.{i}", role="member")
    return graph


def _in_xml(fields: dict[str, Value]) -> dict[str, Value]:
    return {name: xml(value) if isinstance(value, str) else value for name, value in fields.items()}


def _check_numbers(part: Node | Interaction, what: str) -> None:
    fields = numbers_of(part) | (evidence_of(part) if isinstance(part, Interaction) else {})
    for value in fields.values():
        if not isinstance(value, str) and not math.isfinite(value):
            raise UserError(f"a number of {what} is {value}; only finite numbers can be exported")
