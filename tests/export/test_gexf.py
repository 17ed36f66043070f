"""GEXF: networkx reads every number back exactly; the order and types that Gephi needs; any name."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import networkx as nx
import pytest
from any_circuits import circuits
from drawn_circuits import empty, realistic
from hypothesis import given, settings
from test_dot import HOSTILE, damaged, hostile, mixed, refused
from test_graphml import circuit_of, parts

from circuitspex.export.graphs import gexf
from circuitspex.text import xml


def _read(circuit, path):
    return nx.read_gexf(gexf.write(circuit, path))


@pytest.mark.parametrize("seed", range(8))
def test_networkx_reads_it_back_exactly(seed, tmp_path):
    circuit = mixed(seed)
    graph = _read(circuit, tmp_path / "c.gexf")
    assert not graph.is_directed()
    assert circuit_of(graph, label="interaction") == parts(circuit)
    for _, about in graph.nodes(data=True):
        red = about["viz"]["color"]["r"]
        assert (red == 0xD5) == (about["effect"] < 0)
        assert about["label"] == about["name"]
    for a, b, about in graph.edges(data=True):
        assert about["weight"] >= 0
        if about["role"] == "interaction":
            assert about["weight"] == abs(about["effect"]), (a, b)


@given(circuits())
@settings(max_examples=40, deadline=None)
def test_any_circuit_is_read_back(tmp_path_factory, circuit):
    graph = _read(circuit, tmp_path_factory.mktemp("gexf") / "c.gexf")
    assert circuit_of(graph, label="interaction")[0] == parts(circuit)[0]


def test_the_document_is_gexf_1_3():
    root = ET.fromstring(gexf.render(hostile()))
    space = "{http://gexf.net/1.3}"
    assert (root.tag, root.get("version")) == (f"{space}gexf", "1.3")
    graph = root.find(f"{space}graph")
    assert [child.tag.removeprefix(space) for child in graph] == ["attributes", "attributes", "nodes", "edges"]
    assert graph.get("defaultedgetype") == "undirected"
    types = {}
    for block in graph.findall(f"{space}attributes"):
        types[block.get("class")] = {a.get("id"): (a.get("title"), a.get("type")) for a in block}
    assert ("layer", "long") in types["node"].values()
    assert ("measured", "boolean") in types["edge"].values()
    assert {kind for _, kind in types["node"].values()} <= {"string", "long", "double", "boolean"}
    assert "label" not in dict([*types["node"].values(), *types["edge"].values()])
    for kind in ("node", "edge"):
        ids = [part.get("id") for part in graph.iter(space + kind)]
        assert len(ids) == len(set(ids))
        for part in graph.iter(space + kind):
            names = [value.get("for") for value in part.iter(f"{space}attvalue")]
            assert set(names) <= set(types[kind])
            assert len(names) == len(set(names))
    shapes = {shape.get("value") for shape in root.iter("{http://gexf.net/1.3/viz}shape")}
    assert shapes == {"solid", "dashed"}


def test_a_document_does_not_depend_on_the_day():
    assert b"lastmodified" not in gexf.render(mixed(0))
    assert gexf.render(mixed(0)) == gexf.render(mixed(0))


def test_the_same_pair_twice_is_two_edges(tmp_path):
    circuit = realistic(3, 1)
    twice = replace(circuit, interactions=circuit.interactions * 2)
    graph = _read(twice, tmp_path / "c.gexf")
    assert graph.is_multigraph()
    assert graph.size() == 2


def test_names_of_any_kind_survive_as_far_as_xml_can_hold_them(tmp_path):
    names, edges = circuit_of(_read(hostile(), tmp_path / "c.gexf"), label="interaction")
    assert {n.name for n in names} == {xml(name) for name in HOSTILE}
    assert sorted(len(e.components) for e in edges) == [2, 2, 3, 4]


def test_an_empty_circuit_is_an_empty_graph(tmp_path):
    graph = _read(empty(), tmp_path / "c.gexf")
    assert (len(graph), graph.size()) == (0, 0)


@pytest.mark.parametrize(("circuit", "said"), damaged())
def test_what_has_no_graph_is_refused(circuit, said, tmp_path):
    refused(gexf.write, tmp_path / "c.gexf", circuit, said)
