"""GEXF 1.3: for Gephi (and networkx), with typed attributes, colours and sizes.

The graph is the one of ``graphml.py``: components and joints are nodes, told apart by the attribute 'role'. An edge's
weight is the size of its effect, which layouts need to be positive; the attribute 'effect' has the sign.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.export.drawing.style import LIGHT, faithfulness_text, title_of
from circuitspex.export.graphs.graphml import FIELDS, document, text_of
from circuitspex.export.graphs.parts import Value, component_fields, interaction_fields, parts_of, xml_text
from circuitspex.files import write_atomically

NAMESPACE = "http://gexf.net/1.3"
VIZ = "http://gexf.net/1.3/viz"
NODE_SIZE = (8.0, 30.0)
"""Sizes of the weakest possible and of the strongest component."""
JOINT_SIZE = 4.0
_TYPES = {"int": "integer"}


def render(circuit: Circuit) -> bytes:
    """The circuit as a GEXF 1.3 document in UTF-8.

    Raises:
        UserError: what ``parts_of`` refuses.
    """
    parts = parts_of(circuit)
    root = ET.Element("gexf", {"xmlns": NAMESPACE, "xmlns:viz": VIZ, "version": "1.3"})
    meta = ET.SubElement(root, "meta")
    ET.SubElement(meta, "creator").text = "circuitspex"
    ET.SubElement(meta, "title").text = xml_text(title_of(circuit))
    ET.SubElement(meta, "description").text = xml_text(faithfulness_text(circuit))
    graph = ET.SubElement(root, "graph", {"mode": "static", "defaultedgetype": "undirected", "idtype": "string"})
    for domain in ("node", "edge"):
        attributes = ET.SubElement(graph, "attributes", {"class": domain, "mode": "static"})
        for name, kind in _fields(domain).items():
            ET.SubElement(attributes, "attribute", {"id": name, "title": name, "type": kind})
    nodes, edges = ET.SubElement(graph, "nodes"), ET.SubElement(graph, "edges")
    largest = max((abs(part.node.effect) for part in parts.components), default=0.0) or 1.0
    for part in parts.components:
        size = NODE_SIZE[0] + (NODE_SIZE[1] - NODE_SIZE[0]) * abs(part.node.effect) / largest
        _node(nodes, part.id, part.node.name, component_fields(part), part.node, size)
    for interaction in parts.interactions:
        fields, weight = interaction_fields(interaction), abs(float(interaction.edge.effect))
        if interaction.joint is not None:
            _node(nodes, interaction.joint, str(fields["name"]), fields, interaction.edge, JOINT_SIZE)
            fields = {"role": "member"}
        for i, (source, target) in enumerate(interaction.links()):
            number = "" if interaction.joint is None else f".{i}"
            about = {"id": f"{interaction.id}{number}", "source": source, "target": target, "weight": repr(weight)}
            edge = ET.SubElement(edges, "edge", about)
            _values(edge, "edge", fields)
            ET.SubElement(edge, "viz:color", _rgb(interaction.edge))
            ET.SubElement(edge, "viz:shape", {"value": "dashed" if interaction.edge.effect < 0 else "solid"})
    return document(root)


def write(circuit: Circuit, path: Path) -> Path:
    """Write the document."""
    return write_atomically(path, render(circuit))


def _fields(domain: str) -> dict[str, str]:
    """The attributes; not 'label', which nodes and edges of a GEXF file have of their own."""
    return {_title(name): _TYPES.get(kind, kind) for name, kind in FIELDS[domain].items()}


def _title(name: str) -> str:
    return "interaction" if name == "label" else name


def _node(
    nodes: ET.Element, name: str, label: str, fields: Mapping[str, Value], part: Node | Interaction, size: float
) -> None:
    node = ET.SubElement(nodes, "node", {"id": name, "label": xml_text(label)})
    _values(node, "node", fields)
    ET.SubElement(node, "viz:color", _rgb(part))
    ET.SubElement(node, "viz:size", {"value": f"{size:.2f}"})


def _values(parent: ET.Element, domain: str, fields: Mapping[str, Value]) -> None:
    values = ET.SubElement(parent, "attvalues")
    for name, value in fields.items():
        ET.SubElement(values, "attvalue", {"for": _title(name), "value": text_of(value)})


def _rgb(part: Node | Interaction) -> dict[str, str]:
    colour = LIGHT.negative if part.effect < 0 else LIGHT.positive
    return {name: str(int(colour[i : i + 2], 16)) for name, i in (("r", 1), ("g", 3), ("b", 5))}
