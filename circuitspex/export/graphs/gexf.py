"""GEXF 1.3: for Gephi (and networkx), with typed attributes, colours and sizes.

The graph is that of ``graph_of``. An edge's weight is the size of its effect, which layouts need to be positive; the
attribute 'effect' has the sign. The attribute 'label' is called 'interaction', since nodes and edges of a GEXF file
have a label of their own. Interactions among edges, of a circuit of edges, stand as JSON in the file's keywords.
"""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from typing import Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.drawing.style import LIGHT
from circuitspex.export.graphs.edge_graph import graph_of_edges
from circuitspex.export.graphs.parts import graph_of
from circuitspex.files import file_writer

NODE_SIZE = (8.0, 30.0)
"""Sizes of the weakest possible and of the strongest component."""
JOINT_SIZE = 4.0


def render(circuit: Circuit) -> bytes:
    """The circuit as a GEXF 1.3 document in UTF-8.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    return _document(_drawn_edges(graph_of_edges(circuit)) if is_of_edges(circuit) else _drawn(graph_of(circuit)))


def _drawn(graph: Any) -> Any:
    """The graph with labels, weights, colours and sizes."""
    nodes, edges = dict(graph.nodes(data=True)), list(graph.edges(keys=True, data=True))
    components = [about for about in nodes.values() if about["role"] == "component"]
    largest = max((abs(about["effect"]) for about in components), default=0.0) or 1.0
    for a, b, key, about in edges:
        whole = about if "effect" in about else next(nodes[end] for end in (a, b) if "order" in nodes[end])
        shape = "dashed" if whole["effect"] < 0 else "solid"
        about |= {"id": key, "weight": abs(whole["effect"]), "viz": {"color": _rgb(whole), "shape": shape}}
    for about in nodes.values():
        size = NODE_SIZE[0] + (NODE_SIZE[1] - NODE_SIZE[0]) * abs(about["effect"]) / largest
        size = round(size, 2) if about["role"] == "component" else JOINT_SIZE
        about["viz"] = {"color": _rgb(about), "size": size}
    for about in (*nodes.values(), *(edge[-1] for edge in edges)):
        if "label" in about:
            about["interaction"] = about.pop("label")
    for about in nodes.values():
        about["label"] = about["name"]
    return graph


def _drawn_edges(graph: Any) -> Any:
    """The graph of the model's parts with labels, weights and colours."""
    for about in (about for _, about in graph.nodes(data=True)):
        about |= {"label": about["name"], "viz": {"color": _of(LIGHT.muted), "size": NODE_SIZE[0]}}
    for _, _, key, about in graph.edges(keys=True, data=True):
        look = (
            {"color": _rgb(about), "shape": "dashed" if about["effect"] < 0 else "solid"} if "effect" in about else {}
        )
        about |= {"id": key, "weight": abs(about.get("effect", 0.0)), "viz": look or {"color": _of(LIGHT.line)}}
    return graph


def _document(graph: Any) -> bytes:
    import networkx
    from networkx.readwrite.gexf import GEXFWriter

    simple = (networkx.DiGraph if graph.is_directed() else networkx.Graph)(graph)
    # Else the keys of edges become an attribute, which only parallel edges need.
    writer = GEXFWriter(simple if simple.size() == graph.size() else graph, version="1.3")
    meta = writer.xml.find("meta")
    meta.clear()  # it names the day, which would make every file a new one
    ET.SubElement(meta, "creator").text = "circuitspex"
    ET.SubElement(meta, "title").text = graph.graph["title"]
    ET.SubElement(meta, "description").text = graph.graph["faithfulness"]
    if "interactions" in graph.graph:
        ET.SubElement(meta, "keywords").text = graph.graph["interactions"]
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


write = file_writer(render)


def _rgb(about: dict[str, Any]) -> dict[str, int]:
    return _of(LIGHT.negative if about["effect"] < 0 else LIGHT.positive if about.get("signed", True) else LIGHT.muted)


def _of(colour: str) -> dict[str, int]:
    return {name: int(colour[i : i + 2], 16) for name, i in (("r", 1), ("g", 3), ("b", 5))}
