"""A circuit of edges as a directed graph of the model's parts, for files that know nodes and edges.

Parts (embeddings, heads, MLPs, logits) are nodes; the circuit's edges are edges between them, several of one pair where
a head is read at more than one of its queries, keys and values. A key/value head that several heads share is a node,
with an edge of role 'shares' to each of these. Interactions among edges have no place in such files: GraphML and GEXF
carry them as text (JSON), the one in the graph's attribute 'interactions', the other in its keywords.
"""

from __future__ import annotations

import json
from typing import Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.edge_parts import EdgeParts, ModelPart, PartEdge, edge_parts
from circuitspex.export.drawing.style import faithfulness_text, title_of
from circuitspex.export.graphs.parts import Value, evidence_of, numbers_of
from circuitspex.text import xml

LONG_NAMES = {"head": "attention head", "shared": "keys and values of several heads", "mlp": "MLP"}
"""What kinds of parts are called, where that is not their name."""


def ids_of(found: EdgeParts) -> dict[str, str]:
    """An id for each part, by its name: n0, n1, … in the order of computation."""
    return {part.name: f"n{i}" for i, part in enumerate(found.parts)}


def part_fields(part: ModelPart) -> dict[str, Value]:
    """What a file says of a part; embeddings and logits are in no layer."""
    fields: dict[str, Value] = {"role": "part", "name": part.name, "kind": part.kind}
    return fields if part.layer is None else fields | {"layer": part.layer}


def edge_fields(each: PartEdge) -> dict[str, Value]:
    """What a file says of an edge: its name, at which input it ends, and the numbers of its effect."""
    fields: dict[str, Value] = {"role": "edge", "name": each.node.name}
    fields |= {"input": each.port} if each.port else {}
    fields |= {} if each.edge.position is None else {"position": each.edge.position}
    fields |= {} if each.node.q is None else {"q": float(each.node.q)}
    return fields | numbers_of(each.node)


def interactions_of(found: EdgeParts) -> list[dict[str, Any]]:
    """The interactions among edges, as a file can list them."""
    return [
        {"edges": list(one.components), "label": one.relation.short, "relation": one.relation.word}
        | numbers_of(one)
        | evidence_of(one)
        for one in found.interactions
    ]


def graph_of_edges(circuit: Circuit) -> Any:
    """The circuit as a ``networkx.MultiDiGraph``, whose attributes XML can hold.

    Raises:
        UserError: what ``edge_parts`` refuses.
    """
    import networkx

    found = edge_parts(circuit)
    ids = ids_of(found)
    graph = networkx.MultiDiGraph(
        title=xml(title_of(circuit)),
        faithfulness=xml(faithfulness_text(circuit)),
        interactions=xml(json.dumps(interactions_of(found), ensure_ascii=False, allow_nan=False)),
    )
    for part in found.parts:
        graph.add_node(ids[part.name], **part_fields(part))
    for i, each in enumerate(found.edges):
        graph.add_edge(ids[each.source], ids[each.target], key=f"e{i}", **edge_fields(each))
    for i, (shared, head) in enumerate(found.feeds):
        graph.add_edge(ids[shared], ids[head], key=f"s{i}", role="shares")
    return graph
