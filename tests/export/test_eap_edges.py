"""Circuits of edges as EAP graphs and back; files straight from attribution; which of the two a graph is."""

import dataclasses
import json
import math
import random

import numpy as np
import pytest
from drawn_circuits import empty, node
from test_dot import refused
from test_eap import load

from circuitspex.circuits.circuit import Circuit, Faithfulness, Node
from circuitspex.components.edges import EdgeGraph, EdgeLayer
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.graphs import eap
from circuitspex.export.graphs.eap_edges import connected
from circuitspex.export.graphs.eap_nodes import Blocks, edges

NONE = Faithfulness(None, None, None, 0)
# Layers of query heads, key/value heads and MLPs; parallel; ungrouped.
SHAPES = [
    ([(1, 1, True)], False, False),
    ([(4, 2, True), (4, 2, True)], False, False),
    ([(4, 2, True), (4, 2, True)], False, True),
    ([(3, 1, True), (0, 0, True), (2, 1, False)], True, False),
    ([(2, 2, True)] * 3, False, False),
]


def graph_of(shape):
    layers, parallel, ungrouped = shape
    return EdgeGraph(tuple(EdgeLayer(*layer) for layer in layers), parallel=parallel, ungrouped=ungrouped)


def found(seed, shape, keep=0.3, selector="edges", scored=True):
    graph, rng = graph_of(shape), random.Random(seed)
    names = [str(graph.edge(i)) for i in range(len(graph))]
    if selector != "edges":
        names = [name for name in names if name.endswith("->logits")]
    effects = {name: rng.gauss(0, 1) for name in names}
    kept = [name for name in names if rng.random() < keep]
    nodes = [Node(name, _layer(name, graph), "edge", effects[name]) for name in kept]
    model = {
        "n_layers": len(graph.layers),
        "n_heads": max(layer.n_heads for layer in graph.layers),
        "heads": [layer.n_heads for layer in graph.layers],
        "key_value_heads": [layer.n_kv for layer in graph.layers],
        "mlps": [layer.mlp for layer in graph.layers],
        "d_model": 8,
        "parallel_attn_mlp": graph.parallel,
    }
    run = {"lens": "edges", "components": selector, "ungrouped": graph.ungrouped, "n_components": len(names)}
    run["main_effects"] = effects if scored else {}
    return Circuit(tuple(nodes), (), NONE, model=model, run=run)


def _layer(name, graph):
    into = name.partition("->")[2]
    return len(graph.layers) if into == "logits" else int(into[1:].split("H")[0].split("K")[0].split("M")[0])


def in_file(name, graph):
    """The edges of a file that one of ours stands for, spelled by hand."""
    source, target = name.split("->")
    heads = [target]
    if "KV" in target:
        layer, rest = target[1:].split("KV")
        group, letter = rest.split(".")
        size = graph.layers[int(layer)].n_heads // graph.layers[int(layer)].n_kv
        heads = [f"L{layer}H{int(group) * size + i}.{letter}" for i in range(size)]
    return [f"{_node(source)}->{_node(each)}" for each in heads]


def _node(name):
    if name in ("emb", "logits"):
        return {"emb": "input"}.get(name, name)
    if name.endswith("M"):
        return f"m{name[1:-1]}"
    layer, head = name[1:].split("H")
    head, _, letter = head.partition(".")
    return f"a{layer}.h{head}" + (f"<{letter}>" if letter else "")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_exactly_its_edges_are_in_the_graph_and_come_back(seed, shape, tmp_path):
    circuit, graph = found(seed, shape), graph_of(shape)
    path = eap.write(circuit, tmp_path / "c.json")
    data = json.loads(path.read_text())
    wanted = {name for each in circuit.nodes for name in in_file(each.name, graph)}
    assert {name for name, edge in data["edges"].items() if edge["in_graph"]} == wanted
    for name, effect in circuit.run["main_effects"].items():
        parts = [data["edges"][each]["score"] for each in in_file(name, graph)]
        assert math.fsum(parts) == pytest.approx(effect)
        assert len(set(parts)) == 1
    assert len(data["edges"]) == sum(len(in_file(str(graph.edge(i)), graph)) for i in range(len(graph)))
    again = eap.read(path)
    assert {(n.name, n.layer, n.kind) for n in again.nodes} == {(n.name, n.layer, n.kind) for n in circuit.nodes}
    assert {n.name: n.decoded for n in again.nodes} == pytest.approx({n.name: n.decoded for n in circuit.nodes})
    assert again.run["main_effects"] == pytest.approx(circuit.run["main_effects"])
    for key in ("lens", "components", "ungrouped", "n_components"):
        assert again.run[key] == circuit.run[key]
    assert again.model == circuit.model
    twice = json.loads(eap.write(again, tmp_path / "d.json").read_text())["edges"]
    assert {n: e["in_graph"] for n, e in twice.items()} == {n: e["in_graph"] for n, e in data["edges"].items()}
    assert Circuit.load(again.save(tmp_path / "circuit.json")) == again


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len({layer[0] for layer in shape[0]}) == 1])
def test_the_loader_of_the_format_takes_it(shape, tmp_path):
    circuit = found(5, shape)
    _, nodes, edges, data = load(eap.write(circuit, tmp_path / "c.json"))
    assert set(data["edges"]) == set(edges)
    sources = {name.split("->")[0] for name, (kept, _) in edges.items() if kept}
    read = {name.split("->")[1].split("<")[0] for name, (kept, _) in edges.items() if kept}
    for name, (kept, score) in nodes.items():
        assert math.isnan(score)
        assert kept == (name == "logits" or (name in sources and (name in read or name == "input")))


def test_edges_that_the_search_left_open_are_not_in_the_graph(tmp_path):
    circuit = found(2, SHAPES[1], keep=0.5, selector="edges->logits")
    path = eap.write(circuit, tmp_path / "c.json")
    edges = json.loads(path.read_text())["edges"]
    inside = {_node(each.name.split("->")[0]) for each in circuit.nodes}
    for name, edge in edges.items():
        source, target = name.split("->")
        assert edge["in_graph"] == (target == "logits" and source in inside)
    again = eap.read(path)
    assert {n.name for n in again.nodes} == {n.name for n in circuit.nodes}
    assert again.run["components"] == "edges->logits"


def test_edges_of_effect_0_have_a_place_of_their_own_that_is_no_effect(tmp_path):
    circuit = found(3, SHAPES[4], scored=False)
    path = eap.write(circuit, tmp_path / "c.json")
    data = json.loads(path.read_text())
    others = [edge["score"] for edge in data["edges"].values() if not edge["in_graph"]]
    assert len(set(others)) == len(others)
    assert 0 < max(others) < min(abs(n.effect) for n in circuit.nodes) / 900
    assert eap.read(path).run["main_effects"] == {n.name: n.effect for n in circuit.nodes}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nodes": (Node("L9H0->logits", 1, "edge", 1.0),)}, "can't hold this circuit: L9H0"),
        ({"nodes": (Node("L0H0->logits@-1", 1, "edge", 1.0),)}, "no token positions, so that it can't hold L0H0->log"),
        ({"nodes": (node("L0H0", 1.0),)}, "'L0H0' is not an edge"),
        ({"run": {"lens": "tokens"}}, "of another lens (tokens)"),
    ],
)
def test_what_the_format_can_not_say_is_refused(change, said, tmp_path):
    refused(eap.write, tmp_path / "c.json", dataclasses.replace(found(0, SHAPES[1]), **change), said)
    with pytest.raises(UserError, match="key_value_heads must say"):
        eap.write(
            dataclasses.replace(
                empty(), model={**found(0, SHAPES[1]).model, "key_value_heads": [3, 2]}, run={"lens": "edges"}
            ),
            tmp_path / "c.json",
        )


@pytest.mark.parametrize(("name", "said"), [("L0H0", "is not an edge"), ("L0M->L7M", "has 2 layers")])
def test_a_circuit_of_edges_has_edges_of_its_model(name, said, tmp_path):
    circuit = dataclasses.replace(found(0, SHAPES[1]), nodes=(Node(name, 1, "edge", 1.0),))
    with pytest.raises(UserError, match=said):
        circuit.save(tmp_path / "circuit.json")


def straight(seed=0, layers=3, heads=2, parallel=False, nodes=False):
    """A file as attribution writes it: all scored, nothing in the graph."""
    rng, blocks = np.random.default_rng(seed), Blocks.uniform(layers, heads)
    known = ["input", *(x for i in range(layers) for x in (*blocks.of_layer(i), f"m{i}")), "logits"]
    return {
        "cfg": {"n_layers": layers, "n_heads": heads, "parallel_attn_mlp": parallel, "d_model": 8},
        "nodes": {
            name: {"in_graph": name == "logits", **({"score": float(rng.normal())} if nodes else {})} for name in known
        },
        "edges": {
            f"{source}->{target}": {"score": 0.0 if nodes else float(rng.normal()), "in_graph": False}
            for source, target in edges(blocks, parallel)
        },
    }


def read(data, path, **options):
    path.write_text(json.dumps(data))
    return eap.read(path, **options)


def pruned(kept, names):
    """As EAP-IG prunes a graph, with its matrices: rows are sources, columns what reads."""
    sources = [name for name in names if name != "logits"]
    slots = sorted({edge.split("->")[1] for edge in kept})
    matrix = np.zeros((len(sources), len(slots)), dtype=bool)
    for edge in kept:
        source, target = edge.split("->")
        matrix[sources.index(source), slots.index(target)] = True
    belongs = np.array([[slot.split("<")[0] == source for slot in slots] for source in sources])
    while True:
        ingoing = (belongs & matrix.any(axis=0)).any(axis=1)
        ingoing[0] = True
        inside = matrix.any(axis=1) & ingoing
        readers = (inside[:, None] & belongs).any(axis=0) | np.array([slot == "logits" for slot in slots])
        new = matrix & inside[:, None] & readers[None, :]
        if (new == matrix).all():
            return {f"{sources[i]}->{slots[j]}" for i, j in np.argwhere(matrix)}
        matrix = new


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_file_straight_from_attribution_takes_the_first_edges(seed, absolute, tmp_path):
    data = straight(seed, parallel=seed % 2 == 1)
    with pytest.raises(
        FileFormatError, match=r"c.json: no edge is in the graph.* circuitspex export --from eap --top 200"
    ):
        read(data, tmp_path / "c.json")
    score = {name: edge["score"] for name, edge in data["edges"].items()}
    largest = sorted(score, key=lambda name: -abs(score[name]) if absolute else -score[name])[:30]
    wanted = pruned(largest, list(data["nodes"]))
    ends = {tuple(name.split("->")) for name in largest}
    assert {"->".join(each) for each in connected(ends)} == wanted
    circuit = read(data, tmp_path / "c.json", top=30, absolute=absolute, sign="ablation")
    graph = EdgeGraph((EdgeLayer(2, 2),) * 3, parallel=seed % 2 == 1)
    assert {name for each in circuit.nodes for name in in_file(each.name, graph)} == wanted
    assert all(each.decoded == score[in_file(each.name, graph)[0]] for each in circuit.nodes)
    assert f"the 30 of the largest {'sizes' if absolute else 'scores'}" in circuit.run["effects"]
    assert len(wanted) == 30 or f"of which {len(wanted)} are on a way" in circuit.run["effects"]
    assert circuit.run["lens"] == "edges"
    written = json.loads(eap.write(circuit, tmp_path / "d.json").read_text())["edges"]
    assert {name for name, edge in written.items() if edge["in_graph"]} == wanted
    assert {name: edge["score"] for name, edge in written.items()} == score  # the ranking is not lost


def test_a_file_of_scored_nodes_takes_the_first_nodes(tmp_path):
    data = straight(1, nodes=True)
    with pytest.raises(FileFormatError, match=r"no head or MLP is in the graph"):
        read(data, tmp_path / "c.json")
    score = {n: d["score"] for n, d in data["nodes"].items() if n not in ("input", "logits")}
    circuit = read(data, tmp_path / "c.json", top=4, sign="attribution")
    assert {_node(n.name): -n.decoded for n in circuit.nodes} == dict(
        sorted(score.items(), key=lambda item: -abs(item[1]))[:4]
    )
    assert circuit.run["n_components"] == 9
    assert len(read(straight(1), tmp_path / "c.json", top=4, level="nodes").nodes) == 4  # sums over their edges


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"top": 0}, UserError, "top must be at least 1, not 0"),
        ({"top": 1.5}, UserError, "top must be a whole number"),
        ({"top": 10_000}, FileFormatError, "scores 100 edges, fewer than the 10,000 to keep"),
        ({"top": 5, "level": "paths"}, UserError, "level must be one of auto, nodes, edges"),
        ({"top": 1}, FileFormatError, "none of the 1 edges of the largest scores is on a way"),
    ],
)
def test_a_wrong_number_is_one_line(options, error, said, tmp_path):
    data = straight(0)
    data["edges"]["a0.h0->m0"]["score"] = 99.0
    with pytest.raises(error, match=said):
        read(data, tmp_path / "c.json", **options)


def test_scores_that_say_nothing_are_refused(tmp_path):
    data = straight(0)
    for edge in data["edges"].values():
        edge["score"] = 0.0
    with pytest.raises(FileFormatError, match="the scores of all its edges are 0"):
        read(data, tmp_path / "c.json", top=5)
    for edge in data["edges"].values():
        edge["score"] = math.nan
    with pytest.raises(FileFormatError, match="none of its edges has a score"):
        read(data, tmp_path / "c.json", top=5)
    data["edges"]["m2->logits"]["in_graph"] = True
    with pytest.raises(FileFormatError, match=r"edges.m2->logits is in the graph and has no score"):
        read(data, tmp_path / "c.json")


def test_a_graph_is_of_nodes_where_all_edges_between_them_are_in_it(tmp_path):
    data = straight(1, nodes=True)
    inside = {"input", "logits", "a0.h1", "m1", "a2.h0"}
    for name, about in data["nodes"].items():
        about["in_graph"] = name in inside
    for name, edge in data["edges"].items():
        source = name.split("->")[0]
        edge["in_graph"] = source in inside  # as EAP-IG adds them, before it prunes
        edge["score"] = 0.5
    assert {n.name for n in read(data, tmp_path / "c.json").nodes} == {"L0H1", "L1M", "L2H0"}
    data["edges"]["a0.h1->m1"]["in_graph"] = False
    of_edges = read(data, tmp_path / "c.json")
    assert of_edges.run["lens"] == "edges"
    assert {n.name for n in of_edges.nodes} >= {"L0H1->L2H0.q", "emb->L0H1.v"}
    assert "L0H1->L1M" not in {n.name for n in of_edges.nodes}
