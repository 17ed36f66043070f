"""GraphML: for networkx, igraph, Cytoscape, Gephi and yEd, with typed attributes. The graph is that of ``graph_of``."""

from __future__ import annotations

import io

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.graphs.edge_graph import graph_of_edges
from circuitspex.export.graphs.parts import graph_of
from circuitspex.files import file_writer


def render(circuit: Circuit) -> bytes:
    """The circuit as a GraphML document in UTF-8.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    from networkx.readwrite.graphml import GraphMLWriter

    writer = GraphMLWriter(graph_of_edges(circuit) if is_of_edges(circuit) else graph_of(circuit))
    flags = {key for (_, kind, _), key in writer.keys.items() if kind == "boolean"}
    for data in writer.xml.iter("data"):
        if data.get("key") in flags:
            data.text = data.text.lower()  # as XML Schema writes truth, and other readers than networkx expect it
    file = io.BytesIO()
    writer.dump(file)
    return file.getvalue()


write = file_writer(render)
