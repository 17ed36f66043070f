"""The parts of a model between which the edges of a circuit go: the embeddings, heads with their inputs, MLPs, logits.

The components of an edge circuit (``run["lens"] == "edges"``) are edges such as ``L5H1->L9H3.q``. What is drawn and
exported as nodes are the parts at their ends. Where several heads share keys and values, the key/value head is a part
of its own (``L9KV1``), which feeds the heads of its group.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.components.edges import Edge, layer_of, parse_edge
from circuitspex.errors import ComponentError, UserError
from circuitspex.export.drawing.style import reading_order
from circuitspex.export.words.saying import say
from circuitspex.text import printable

PORTS = "qkv"
IN_LEGENDS = ("head", "shared", "mlp")
"""The kinds of parts that legends explain; embeddings and logits say in their boxes what they are."""


@dataclass(frozen=True)
class ModelPart:
    """A part of the model: its kind, its layer (None of embeddings and logits), and which of q, k, v edges end at."""

    name: str
    kind: str
    layer: int | None
    ports: str = ""

    @property
    def order(self) -> tuple[float, int, int]:
        """Its place in the order of computation: layer, attention before the MLP, number of the head."""
        if self.layer is None:
            return (-1.0 if self.kind == "embeddings" else math.inf), 0, 0
        return self.layer, int(self.kind == "mlp"), number_of(self.name)


@dataclass(frozen=True)
class PartEdge:
    """An edge of the circuit with the names of the parts it joins; ``port`` is 'q', 'k', 'v', or '' at MLPs, logits."""

    node: Node
    edge: Edge
    source: str
    target: str
    port: str


@dataclass(frozen=True)
class EdgeParts:
    """The parts in the order of computation, the edges in the order in which they are read, interactions among these.

    ``feeds`` are pairs of a key/value head and a head of its group, both in the circuit: what reaches the one is read
    by the other. ``left_out`` and ``interactions_left_out`` count what is too weak to be among the strongest.
    """

    parts: tuple[ModelPart, ...]
    edges: tuple[PartEdge, ...]
    interactions: tuple[Interaction, ...]
    feeds: tuple[tuple[str, str], ...]
    left_out: int = 0
    interactions_left_out: int = 0

    @cached_property
    def of_name(self) -> dict[str, ModelPart]:
        """The parts by name."""
        return {part.name: part for part in self.parts}

    @property
    def note(self) -> str:
        """What is not among them, in a sentence; empty where nothing is missing."""
        if not self.left_out:
            return ""
        drawn, all_edges, others = len(self.edges), len(self.edges) + self.left_out, self.interactions_left_out
        if others:
            return say(
                "diagram.strongest_of_both", drawn=f"{drawn:,}", all=f"{all_edges:,}", interactions=f"{others:,}"
            )
        return say("diagram.strongest", drawn=f"{drawn:,}", all=f"{all_edges:,}")


def is_of_edges(circuit: Circuit) -> bool:
    """Whether the components of a circuit are edges of a model."""
    return bool(circuit.run.get("lens") == "edges")


def number_of(name: str) -> int:
    """The number of a head or of a key/value head."""
    digits = name.partition("KV" if "KV" in name else "H")[2]
    return int(digits) if digits.isdigit() else -1


def edge_parts(circuit: Circuit, most: int | None = None) -> EdgeParts:
    """The parts of an edge circuit.

    Args:
        circuit: its components are edges.
        most: take the strongest so many edges; None takes all.

    Raises:
        UserError: a component is not an edge or is there twice, an interaction names one that is not there, an effect
            is not finite.
    """
    nodes, names = sorted(circuit.nodes, key=reading_order), set[str]()
    for node in nodes:
        if node.name in names:
            raise UserError(f"the edge {node.name!r} is in the circuit twice")
        names.add(node.name)
        if not math.isfinite(node.effect):
            raise UserError(f"the effect of {node.name} is {node.effect}; only finite effects can be drawn")
    for one in circuit.interactions:
        missing = next((name for name in one.components if name not in names), None)
        if missing is not None:
            raise UserError(f"the interaction of {', '.join(one.components)} names {missing}, which is not a node")
        if not math.isfinite(one.effect):
            raise UserError(f"the effect of {', '.join(one.components)} is {one.effect}; only finite ones can be drawn")
    if most is not None and len(nodes) > most:
        strongest = sorted(nodes, key=lambda node: (-abs(node.effect), node.name))[:most]
        names = {node.name for node in strongest}
    edges = tuple(_part_edge(node) for node in nodes if node.name in names)
    kept = [one for one in circuit.interactions if names.issuperset(one.components)]
    kept.sort(key=lambda one: (-abs(one.effect), one.components))
    parts = _parts(edges)
    return EdgeParts(
        parts,
        edges,
        tuple(kept),
        tuple(_feeds(circuit, parts)),
        len(nodes) - len(edges),
        len(circuit.interactions) - len(kept),
    )


def _part_edge(node: Node) -> PartEdge:
    try:
        edge = parse_edge(node.name)
    except ComponentError as error:
        raise UserError(f"{printable(node.name)} is in a circuit of edges and is none: {error}") from None
    target, _, port = edge.target.partition(".")
    return PartEdge(node, edge, edge.source, target, port)


def _parts(edges: Iterable[PartEdge]) -> tuple[ModelPart, ...]:
    ports: dict[str, set[str]] = {}
    for each in edges:
        ports.setdefault(each.source, set())
        ports.setdefault(each.target, set()).update(each.port)
    found = [
        ModelPart(name, _kind(name), layer_of(name), "".join(port for port in PORTS if port in used))
        for name, used in ports.items()
    ]
    return tuple(sorted(found, key=lambda part: part.order))


def _kind(name: str) -> str:
    if layer_of(name) is None:
        return "embeddings" if name == "emb" else "logits"
    return "mlp" if name.endswith("M") else "shared" if "KV" in name else "head"


def _feeds(circuit: Circuit, parts: Sequence[ModelPart]) -> Iterable[tuple[str, str]]:
    """Each key/value head with the heads of its group that are in the circuit."""
    for shared in parts:
        if shared.kind != "shared" or shared.layer is None:
            continue
        size = _group_size(circuit, shared.layer, parts)
        for head in parts:
            alike = head.kind == "head" and head.layer == shared.layer
            if alike and number_of(head.name) // size == number_of(shared.name):
                yield shared.name, head.name


def _group_size(circuit: Circuit, layer: int, parts: Sequence[ModelPart]) -> int:
    """How many heads share a key/value head, by the record of the model; where it does not say, by what is there."""
    counts = [circuit.model.get(key) for key in ("heads", "key_value_heads")]
    n_heads, n_shared = (
        found[layer] if isinstance(found, Sequence) and not isinstance(found, str) and layer < len(found) else None
        for found in counts
    )
    if not isinstance(n_heads, int):
        n_heads = circuit.model.get("n_heads")
    most = {kind: max((number_of(p.name) for p in parts if p.kind == kind), default=0) for kind in ("head", "shared")}
    if not isinstance(n_heads, int) or n_heads < 1:
        n_heads = most["head"] + 1
    if not isinstance(n_shared, int) or n_shared < 1:
        n_shared = next((n for n in range(most["shared"] + 1, n_heads) if n_heads % n == 0), n_heads)
    return max(n_heads // n_shared, 1)
