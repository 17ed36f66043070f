"""Files of other tools for circuits of edges: parts of the model as nodes, edges between them."""

import io
import itertools
import json
import shutil
import subprocess
from dataclasses import replace

import networkx
import pytest
from edge_circuits import SMALL, SMOLLM2, edge_circuit

from circuitspex.circuits.circuit import Circuit
from circuitspex.errors import UserError
from circuitspex.export.graphs import dot, gexf, graphml, mermaid, mermaid_text, neuronpedia

CIRCUIT = edge_circuit(n_edges=30, n_interactions=5, seed=2)


def _wanted(circuit):
    """Which part each edge goes from and to, at which input, with which effect."""
    found = []
    for node in circuit.nodes:
        source, _, end = node.name.partition("->")
        target, _, port = end.partition(".")
        found.append((source, target, port, node.effect))
    return sorted(found)


@pytest.mark.parametrize(("module", "read"), [(graphml, networkx.read_graphml), (gexf, networkx.read_gexf)])
def test_networkx_reads_parts_and_edges_back(module, read):
    graph = read(io.BytesIO(module.render(CIRCUIT)))
    assert graph.is_directed()
    name = {node: about["name" if module is graphml else "label"] for node, about in graph.nodes(data=True)}
    edges = [(name[a], name[b], about) for a, b, about in graph.edges(data=True)]
    found = [(a, b, e.get("input", ""), e["effect"]) for a, b, e in edges if e["role"] == "edge"]
    assert sorted(found) == _wanted(CIRCUIT)
    shares = [(a, b) for a, b, about in edges if about["role"] == "shares"]
    assert shares
    assert all("KV" in a and "H" in b for a, b in shares)


def test_graphml_carries_interactions_as_json():
    graph = networkx.read_graphml(io.BytesIO(graphml.render(CIRCUIT)))
    told = json.loads(graph.graph["interactions"])
    assert {tuple(sorted(one["edges"])) for one in told} == {one.components for one in CIRCUIT.interactions}
    assert [one["effect"] for one in told] == sorted((one["effect"] for one in told), key=lambda value: -abs(value))


def test_graphviz_draws_every_part_edge_and_interaction():
    program = shutil.which("dot")
    text = dot.render(CIRCUIT)
    ends = {end.partition(".")[0] for node in CIRCUIT.nodes for end in node.name.split("->")}
    for name in ends:
        assert f'label="{name}"' in text
    assert text.count("dir=none") == sum(1 if one.order == 2 else one.order for one in CIRCUIT.interactions)
    if program is not None:
        done = subprocess.run([program, "-Tplain"], input=text.encode(), capture_output=True, check=True, timeout=60)
        assert done.stdout.startswith(b"graph")


def test_mermaid_keeps_to_the_limits_and_says_what_is_left_out():
    small, large = mermaid.render(CIRCUIT), mermaid.render(edge_circuit(SMOLLM2, 1_000, 10))
    assert small.count("-->|") == len(CIRCUIT.nodes)
    assert "interactions among edges are not drawn" in small
    assert large.count("-->|") + large.count("-.-") <= mermaid_text.MAX_LINKS
    assert len(large) <= mermaid_text.MAX_TEXT
    assert "The strongest" in large
    assert "of 1,000 edges are drawn" in large


def test_neuronpedia_has_parts_as_nodes_and_the_sum_of_edges_as_links():
    data = neuronpedia.to_json(CIRCUIT)
    sums = {
        pair: sum(effect for *_, effect in group)
        for pair, group in itertools.groupby(_wanted(CIRCUIT), key=lambda each: each[:2])
    }
    links = {(link["source"], link["target"]): link["weight"] for link in data["links"]}
    assert len(links) == len(data["links"])
    assert links == pytest.approx(sums)
    layers = {node["node_id"]: node["layer"] for node in data["nodes"]}
    assert layers["emb"] == "E"
    assert layers["logits"] == str(len(SMALL.layers))
    assert {node["feature"] for node in data["nodes"]} == {-1 - i for i in range(len(layers))}
    told = data["metadata"]["generation_settings"]
    assert sorted(each["effect"] for each in told["edges"]) == sorted(node.effect for node in CIRCUIT.nodes)
    assert len(told["interactions"]) == len(CIRCUIT.interactions)
    for label, first, *heads in data["qParams"]["supernodes"]:
        assert label == f"heads with {first}"
        assert set(heads) <= set(layers)


def test_csv_and_text_list_the_edges(tmp_path):
    table = CIRCUIT.export("csv", tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert {row.split(",")[0] for row in table[1:]} == {node.name for node in CIRCUIT.nodes}
    text = CIRCUIT.export("text", tmp_path / "a.txt").read_text(encoding="utf-8")
    assert f"Edges ({sum(node.is_distinct for node in CIRCUIT.nodes)})" in text
    assert "Components" not in text


def test_the_file_of_a_circuit_of_edges_reads_back(tmp_path):
    path = CIRCUIT.save(tmp_path / "circuit.json")
    found = Circuit.load(path)
    assert {node.name: node.effect for node in found.nodes} == {node.name: node.effect for node in CIRCUIT.nodes}
    assert found.run["lens"] == "edges"


@pytest.mark.parametrize("module", [dot, mermaid, graphml, gexf])
def test_what_is_no_edge_is_refused(module):
    broken = replace(CIRCUIT, nodes=(replace(CIRCUIT.nodes[0], name="L5H1"),), interactions=())
    with pytest.raises(UserError, match="is none"):
        module.render(broken)
