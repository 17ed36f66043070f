"""A circuit as a graph of networkx, with components by their names."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.edge_parts import edge_parts, is_of_edges
from circuitspex.export.graphs.edge_graph import graph_of_edges, ids_of
from circuitspex.export.graphs.parts import graph_of, parts_of


def of_circuit(circuit: Circuit) -> Any:
    """The graph that GraphML has, with names in place of ids; see ``Circuit.to_networkx``.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    import networkx

    if is_of_edges(circuit):
        names: dict[str, Hashable] = {place: name for name, place in ids_of(edge_parts(circuit)).items()}
        return networkx.relabel_nodes(graph_of_edges(circuit), names)
    parts = parts_of(circuit)
    names = {part.id: part.node.name for part in parts.components}
    for one in parts.interactions:
        if one.joint is not None:
            names[one.joint] = tuple(part.node.name for part in one.members)
    return networkx.relabel_nodes(graph_of(circuit), names)
