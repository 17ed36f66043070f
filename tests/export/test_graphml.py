"""GraphML: networkx reads every number back exactly; hyperedges are joints; any name stays well-formed XML."""

import xml.etree.ElementTree as ET

import networkx as nx
import pytest
from any_circuits import circuits
from drawn_circuits import empty
from hypothesis import given, settings
from test_dot import HOSTILE, damaged, hostile, mixed, refused

from circuitspex.circuits.circuit import Circuit, Direction, Estimate, Faithfulness, Interaction, Node
from circuitspex.export.graphs import graphml
from circuitspex.text import xml


def circuit_of(graph, label="label"):
    """The nodes and edges that a graph read by networkx stands for."""
    nodes, edges = set(), set()
    for at, about in graph.nodes(data=True):
        if about["role"] == "component":
            nodes.add(Node(about["name"], about["layer"], about["kind"], about["decoded"], _measured(about)))
        else:
            assert about["role"] == "interaction"
            members = tuple(sorted(graph.nodes[n]["name"] for n in graph.neighbors(at)))
            assert all(graph.edges[at, n]["role"] == "member" for n in graph.neighbors(at))
            edges.add(_edge(members, about, label))
    for a, b, about in graph.edges(data=True):
        if about["role"] == "interaction":
            edges.add(_edge(tuple(sorted(graph.nodes[n]["name"] for n in (a, b))), about, label))
    return nodes, edges


def _measured(about):
    assert ("low" in about) == ("high" in about) == about["measured"]
    return Estimate(about["effect"], about["low"], about["high"]) if about["measured"] else None


def _edge(members, about, label):
    direction = None
    if "path_from" in about:
        share = Estimate(about["path_share"], about["path_low"], about["path_high"])
        direction = Direction(about["path_from"], about["path_to"], share)
    found = Interaction(members, about["decoded"], _measured(about), q=about.get("q"), direction=direction)
    assert (about["order"], about["effect"], about[label]) == (len(members), found.effect, found.relation.short)
    assert about["relation"] == found.relation.word
    return found


def parts(circuit):
    """What a graph file keeps of a circuit."""
    return (
        {Node(n.name, n.layer, n.kind, n.decoded, n.measured) for n in circuit.nodes},
        {
            Interaction(tuple(sorted(e.components)), e.decoded, e.measured, q=e.q, direction=e.direction)
            for e in circuit.interactions
        },
    )


@pytest.mark.parametrize("seed", range(8))
def test_networkx_reads_it_back_exactly(seed, tmp_path):
    circuit = mixed(seed)
    graph = nx.read_graphml(graphml.write(circuit, tmp_path / "c.graphml"))
    assert not graph.is_directed()
    assert circuit_of(graph) == parts(circuit)


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_any_circuit_is_read_back(circuit):
    graph = nx.parse_graphml(graphml.render(circuit).decode(), force_multigraph=False)
    assert circuit_of(graph)[0] == parts(circuit)[0]


def test_keys_are_declared_with_types_and_ids_are_plain():
    root = ET.fromstring(graphml.render(hostile()))
    space = "{http://graphml.graphdrawing.org/xmlns}"
    keys = {key.get("id"): key for key in root.iter(f"{space}key")}
    used = {data.get("key") for data in root.iter(f"{space}data")}
    assert used <= set(keys)
    types = {(key.get("for"), key.get("attr.name")): key.get("attr.type") for key in keys.values()}
    assert len(types) == len(keys)
    assert types["node", "effect"] == "double"
    assert types["node", "layer"] == "long"
    assert types["edge", "measured"] == "boolean"
    flags = {id for id, key in keys.items() if key.get("attr.type") == "boolean"}
    assert {data.text for data in root.iter(f"{space}data") if data.get("key") in flags} <= {"true", "false"}
    ids = [part.get("id") for kind in ("node", "edge") for part in root.iter(space + kind)]
    assert len(ids) == len(set(ids))
    assert all(i.replace(".", "").isalnum() for i in ids)
    graph = root.find(f"{space}graph")
    about = [keys[data.get("key")].get("attr.name") for data in graph.findall(f"{space}data")]
    assert about == ["title", "faithfulness"]


def test_names_of_any_kind_survive_as_far_as_xml_can_hold_them():
    graph = nx.parse_graphml(graphml.render(hostile()).decode())
    names, edges = circuit_of(graph)
    assert {n.name for n in names} == {xml(name) for name in HOSTILE}
    assert sorted(len(e.components) for e in edges) == [2, 2, 3, 4]
    assert {'a"b', "<b>&amp;&#60;</b>", '"]; } digraph {'} <= {n.name for n in names}


def test_an_empty_circuit_is_an_empty_graph(tmp_path):
    graph = nx.read_graphml(graphml.write(empty(), tmp_path / "c.graphml"))
    assert (len(graph), graph.size()) == (0, 0)


def test_numbers_of_other_types_are_written_as_numbers():
    numpy = pytest.importorskip("numpy")
    circuit = Circuit((Node("L1H1", 1, "head", numpy.float64(0.1)),), (), Faithfulness(None, None, None, 0))
    graph = nx.parse_graphml(graphml.render(circuit).decode())
    assert graph.nodes["n0"]["effect"] == 0.1


@pytest.mark.parametrize(("circuit", "said"), damaged())
def test_what_has_no_graph_is_refused(circuit, said, tmp_path):
    refused(graphml.write, tmp_path / "c.graphml", circuit, said)
