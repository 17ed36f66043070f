"""GraphML: for networkx, igraph, Cytoscape, Gephi and yEd, with typed attributes.

Components are nodes of role 'component'. An interaction of two is an edge of role 'interaction'; one of three or more
is a node of role 'interaction' (a joint) with an edge of role 'member' to each of its components.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.style import faithfulness_text, title_of
from circuitspex.export.graphs.parts import Value, component_fields, interaction_fields, parts_of, xml_text
from circuitspex.files import write_atomically

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_SCHEMA = f"{NAMESPACE} {NAMESPACE}/1.0/graphml.xsd"
_NUMBERS = {"effect": "double", "low": "double", "high": "double", "decoded": "double", "measured": "boolean"}
_EVIDENCE = {
    "q": "double",
    "path_from": "string",
    "path_to": "string",
    "path_share": "double",
    "path_low": "double",
    "path_high": "double",
}
_TEXTS = {"role": "string", "name": "string", "label": "string"}
FIELDS: dict[str, dict[str, str]] = {
    "node": {**_TEXTS, "kind": "string", "layer": "int", "order": "int", **_NUMBERS, **_EVIDENCE},
    "edge": {**_TEXTS, "order": "int", **_NUMBERS, **_EVIDENCE},
    "graph": {"title": "string", "faithfulness": "string"},
}
"""The attributes of nodes, edges and the graph, with their types."""


def render(circuit: Circuit) -> bytes:
    """The circuit as a GraphML document in UTF-8.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    parts = parts_of(circuit)
    root = ET.Element(
        "graphml",
        {
            "xmlns": NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": _SCHEMA,
        },
    )
    for domain, attributes in FIELDS.items():
        for name, kind in attributes.items():
            key = {"id": f"{domain}_{name}", "for": domain, "attr.name": name, "attr.type": kind}
            ET.SubElement(root, "key", key)
    graph = ET.SubElement(root, "graph", {"id": "circuit", "edgedefault": "undirected"})
    _data(graph, "graph", {"title": title_of(circuit), "faithfulness": faithfulness_text(circuit)})
    for part in parts.components:
        _data(ET.SubElement(graph, "node", {"id": part.id}), "node", component_fields(part))
    for interaction in parts.interactions:
        fields = interaction_fields(interaction)
        if interaction.joint is not None:
            _data(ET.SubElement(graph, "node", {"id": interaction.joint}), "node", fields)
            fields = {"role": "member"}
        for i, (source, target) in enumerate(interaction.links()):
            number = "" if interaction.joint is None else f".{i}"
            edge = {"id": f"{interaction.id}{number}", "source": source, "target": target}
            _data(ET.SubElement(graph, "edge", edge), "edge", fields)
    return document(root)


def write(circuit: Circuit, path: Path) -> Path:
    """Write the document."""
    return write_atomically(path, render(circuit))


def document(root: ET.Element) -> bytes:
    """An XML document in UTF-8, indented."""
    ET.indent(root, " ")
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def text_of(value: Value) -> str:
    """A value as XML Schema writes it."""
    return str(value).lower() if isinstance(value, bool) else xml_text(str(value))


def _data(parent: ET.Element, domain: str, fields: Mapping[str, Value]) -> None:
    for name, value in fields.items():
        ET.SubElement(parent, "data", {"key": f"{domain}_{name}"}).text = text_of(value)
