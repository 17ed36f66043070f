"""EAP graphs: read by the rules of EAP-IG's loader; round trips; what the format can't say is refused."""

import dataclasses
import json
import math
import random
import re

import pytest
from drawn_circuits import empty, node
from test_dot import damaged, refused

from circuitspex.circuits import formats
from circuitspex.circuits.circuit import Circuit, Faithfulness, Interaction, Node
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.drawing.style import LIGHT
from circuitspex.export.graphs import eap, eap_graph
from circuitspex.export.graphs.eap_nodes import Blocks, components_of, edge_count, edges, n_outgoing

NONE = Faithfulness(None, None, None, 0)
SHAPES = [(1, 1, False), (2, 3, False), (3, 2, True), (5, 4, False), (4, 1, True)]


def load(path):
    """What EAP-IG makes of a file: the whole graph from ``cfg``, then nodes and edges that must exist in it."""
    data = json.loads(path.read_text())
    cfg = data["cfg"]
    assert set(cfg) == {"n_layers", "n_heads", "parallel_attn_mlp", "d_model"}
    order = ["input"]
    for layer in range(cfg["n_layers"]):
        order += [f"a{layer}.h{i}" for i in range(cfg["n_heads"])] + [f"m{layer}"]
    order.append("logits")
    edges = {}
    for i, source in enumerate(order[:-1]):
        for target in order[i + 1 :]:
            if _depth(target, cfg) > _depth(source, cfg):
                suffixes = ["<q>", "<k>", "<v>"] if target[0] == "a" else [""]
                edges |= {f"{source}->{target}{suffix}": (False, 0.0) for suffix in suffixes}
    nodes = dict.fromkeys(order, (False, math.nan))
    for name, about in data["nodes"].items():
        assert name in nodes
        nodes[name] = (about["in_graph"], about.get("score", math.nan))
    for name, about in data["edges"].items():
        assert name in edges, name
        edges[name] = (about["in_graph"], about["score"])
    return cfg, nodes, edges, data


def _depth(name, cfg):
    """When a node reads the residual stream; nodes of one depth can't read each other."""
    if name in ("input", "logits"):
        return -1 if name == "input" else 10**6
    layer = int(name[1:].split(".")[0])
    return 2 * layer + (name[0] == "m" and not cfg["parallel_attn_mlp"])


def found(seed, shape, kinds="heads+mlps", keep=0.5):
    rng = random.Random(seed)
    layers, heads, parallel = shape
    names = [f"L{x}H{i}" for x in range(layers) for i in range(heads)] if "heads" in kinds else []
    names += [f"L{x}M" for x in range(layers)] if "mlps" in kinds else []
    kept = [name for name in names if rng.random() < keep]
    nodes = tuple(node(name, rng.gauss(0, 1), rng.random() < 0.5) for name in kept)
    edges = (Interaction((kept[0], kept[1]), -1.0),) if len(kept) > 1 else ()
    model = {"name": "m", "n_layers": layers, "n_heads": heads, "d_model": 8, "parallel_attn_mlp": parallel}
    model |= {"heads": [heads] * layers, "mlps": [True] * layers}
    return Circuit(nodes, edges, NONE, model=model, run={"components": kinds})


def _eap(name):
    return "m" + name[1:-1] if name.endswith("M") else "a" + name[1:].replace("H", ".h")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_the_loader_takes_the_whole_graph(seed, shape, tmp_path):
    circuit = found(seed, shape)
    cfg, nodes, edges, data = load(eap.write(circuit, tmp_path / "c.eap.json"))
    assert (cfg["n_layers"], cfg["n_heads"], cfg["parallel_attn_mlp"], cfg["d_model"]) == (*shape, 8)
    assert set(data["nodes"]) == set(nodes)
    assert set(data["edges"]) == set(edges)
    assert len(edges) == eap.edge_count(Blocks.uniform(*shape[:2]), shape[2])
    effects = {_eap(n.name): n.effect for n in circuit.nodes}
    for name, (in_graph, score) in nodes.items():
        if name in ("input", "logits"):
            assert in_graph
            assert math.isnan(score)
        else:
            assert in_graph == (name in effects)
            assert score == effects.get(name, score)
    kept = {name for name, (in_graph, _) in nodes.items() if in_graph}
    strongest = max(map(abs, effects.values()), default=1.0)
    scores = [score for name, (_, score) in nodes.items() if name not in ("input", "logits")]
    assert all(scores)
    assert len(set(scores)) == len(scores)  # no ties: an order is never left to the sort
    least = min(map(abs, effects.values()), default=1.0)
    assert all(0 < nodes[name][1] < least / 900 for name in set(nodes) - kept)
    strongest = max(strongest, *map(abs, scores)) if effects else max(scores)
    for name, (in_graph, score) in edges.items():
        source, target = name.split("<")[0].split("->")
        assert in_graph == ({source, target} <= kept)
        ends = [abs(nodes[end][1]) for end in (source, target) if end not in ("input", "logits")]
        weaker = min(ends, default=strongest)
        assert 0.999 * weaker <= abs(score) <= weaker


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kinds", ["heads", "mlps", "heads+mlps"])
def test_round_trips(kinds, shape, tmp_path):
    circuit = found(sum(shape), shape, kinds)
    path = eap.write(circuit, tmp_path / "c.eap.json")
    again = formats.read(Circuit, path, "eap")
    assert {(n.name, n.layer, n.kind, n.decoded) for n in again.nodes} == {
        (n.name, n.layer, n.kind, n.effect) for n in circuit.nodes
    }
    assert all(n.measured is None for n in again.nodes)
    assert (again.interactions, again.faithfulness) == ((), NONE)
    assert eap.write(again, tmp_path / "d.eap.json").read_bytes() == path.read_bytes()
    again.save(tmp_path / "circuit.json")
    assert Circuit.load(tmp_path / "circuit.json") == again


def test_what_was_never_ablated_is_always_kept(tmp_path):
    circuit = found(1, (3, 2, False), "heads")
    _, nodes, edges, _ = load(eap.write(circuit, tmp_path / "c.json"))
    assert all(nodes[f"m{layer}"][0] and math.isnan(nodes[f"m{layer}"][1]) for layer in range(3))
    assert edges["input->m0"] == (True, max(abs(n.effect) for n in circuit.nodes))
    part = dataclasses.replace(circuit, nodes=(), interactions=(), run={"components": "L1.heads+L2M"})
    _, nodes, _, _ = load(eap.write(part, tmp_path / "d.json"))
    assert {name for name, (kept, _) in nodes.items() if not kept} == {"a1.h0", "a1.h1", "m2"}


def test_an_empty_circuit_and_one_that_does_not_say_its_search(tmp_path):
    circuit = empty(model={"n_layers": 2, "n_heads": 2})
    cfg, nodes, edges, _ = load(eap.write(circuit, tmp_path / "c.json"))
    assert (cfg["d_model"], cfg["parallel_attn_mlp"]) == (0, False)
    assert {name for name, (kept, _) in nodes.items() if kept} == {"input", "logits"}
    assert [name for name, (kept, _) in edges.items() if kept] == ["input->logits"]
    assert eap.read(tmp_path / "c.json").nodes == ()  # as a file of ours says; of another's that is refused


@pytest.mark.parametrize(("name", "parallel"), [("GPTNeoXForCausalLM", True), ("GPT2LMHeadModel", False)])
def test_parallel_blocks_are_known_by_their_architecture(name, parallel, tmp_path):
    model = {"n_layers": 1, "n_heads": 1, "heads": [1], "mlps": [True], "architecture": name}
    circuit = empty(model=model)
    _, _, edges, _ = load(eap.write(circuit, tmp_path / "c.json"))
    assert ("a0.h0->m0" in edges) != parallel


def test_of_a_large_model_only_kept_edges_are_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(eap_graph, "MAX_EDGES", 10)
    circuit = found(3, (5, 4, False))
    _, _, edges, data = load(eap.write(circuit, tmp_path / "c.json"))
    assert set(data["edges"]) == {name for name, (kept, _) in edges.items() if kept}
    monkeypatch.undo()
    assert load(eap.write(circuit, tmp_path / "d.json"))[1:3] != ({}, {})
    whole = load(tmp_path / "d.json")[2]
    assert {name: both for name, both in whole.items() if both[0]} == {n: both for n, both in edges.items() if both[0]}


UNIFORM = {"n_layers": 4, "n_heads": 2}


def _model(**more):
    return {"n_layers": 4, "n_heads": 2, "heads": [2] * 4, "mlps": [True] * 4, **more}


@pytest.mark.parametrize(
    ("circuit", "said"),
    [
        (Circuit((node("L1N0:64", 1.0),), (), NONE, model=_model()), "can't hold L1N0:64 (neurons)"),
        (
            Circuit((node("L1H1@-1", 1.0),), (), NONE, model=_model()),
            "no token positions, so that it can't hold L1H1@-1",
        ),
        (Circuit((node("L1H2", 1.0),), (), NONE, model=_model()), "no such component, so that a1.h2"),
        (Circuit((node("L4M", 1.0),), (), NONE, model=_model()), "m4 can't be in it"),
        (empty(model={"n_heads": 2}), "needs the model's n_layers"),
        (
            Circuit((node("L4M", 1.0),), (), NONE, model={"n_layers": 4, "n_heads": 2}),
            "4 layers of 2 heads, so that m4",
        ),
        (empty(model=_model(heads=[2, 2])), "must say what each of its 4 layers has"),
        (empty(model=_model(heads=[2, 2, 2, 3])), "must say what each of its 4 layers has"),
        (empty(model={"n_heads": "2", "n_layers": 1}), "n_heads, which this circuit does not have (it says '2')"),
        (empty(model=_model(), run={"components": "heads+neurons:64"}), "searched among 'heads+neurons:64'"),
        (empty(model=_model(), run={"components": "heads@-1"}), "no token positions"),
        (empty(model=_model(), run={"components": "everything"}), "searched among can't be read"),
        *damaged(),
    ],
)
def test_what_the_format_can_not_say_is_refused(circuit, said, tmp_path):
    circuit = dataclasses.replace(circuit, model=circuit.model or _model())
    refused(eap.write, tmp_path / "c.json", circuit, said)


def _graph(**changes):
    data = {
        "cfg": {"n_layers": 1, "n_heads": 1, "parallel_attn_mlp": False, "d_model": 4},
        "nodes": {"input": {"in_graph": True}, "a0.h0": {"in_graph": True}, "m0": {"in_graph": False}},
        "edges": {
            "input->a0.h0<q>": {"in_graph": True, "score": 5.0},
            "a0.h0->m0": {"in_graph": True, "score": 0.5},
            "a0.h0->logits": {"in_graph": True, "score": -2.0},
            "m0->logits": {"in_graph": False, "score": 9.0},
        },
    }
    return {**data, **changes}


NODES = _graph(nodes={"a0.h0": {"in_graph": True, "score": -1.5}, "m0": {"in_graph": False, "score": 9.0}}, edges={})


def _read(data, path, **options):
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return eap.read(path, **options)


def test_where_only_edges_have_scores_a_node_sums_those_that_leave_it(tmp_path):
    circuit = _read(_graph(), tmp_path / "c.json", sign="ablation", level="nodes")
    assert [(n.name, n.decoded) for n in circuit.nodes] == [("L0H0", -1.5)]
    assert circuit.run["effects"] == "read from an EAP graph: sums of the scores of outgoing edges; sign: ablation"
    assert circuit.model["d_model"] == 4
    assert circuit.run["n_components"] == 2


def test_unscored_nodes_among_scored_ones_are_no_part_of_the_search(tmp_path):
    nodes = {"a0.h0": {"in_graph": True, "score": 3}, "m0": {"in_graph": True, "score": math.nan}}
    circuit = _read(_graph(nodes=nodes), tmp_path / "c.json", level="nodes")
    assert [(n.name, n.decoded) for n in circuit.nodes] == [("L0H0", 3.0)]
    assert circuit.run["components"] == "L0H0"


def test_older_files_say_true_and_false_for_nodes(tmp_path):
    circuit = _read(_graph(nodes={"a0.h0": False, "m0": True}), tmp_path / "c.json", level="nodes")
    # The edge that leaves it is not in the graph, and is a part of its effect all the same.
    assert [(n.name, n.decoded) for n in circuit.nodes] == [("L0M", 9.0)]


def test_a_score_has_no_sign_unless_the_caller_says_what_it_is(tmp_path):
    found = {
        sign: [(n.decoded, n.signed) for n in _read(NODES, tmp_path / "c.json", sign=sign).nodes]
        for sign in ("unknown", "ablation", "attribution")
    }
    assert found == {"unknown": [(1.5, False)], "ablation": [(-1.5, True)], "attribution": [(1.5, True)]}
    assert _read(NODES, tmp_path / "c.json").nodes[0] == Node("L0H0", 0, "head", 1.5, signed=False)
    assert formats.read(Circuit, tmp_path / "c.json", "eap", sign="attribution").nodes[0].signed
    with pytest.raises(UserError, match="sign must be one of unknown, ablation, attribution, not 'ours'"):
        eap.read(tmp_path / "c.json", sign="ours")


def test_a_size_without_a_sign_is_shown_without_one_and_claimed_nowhere(tmp_path):
    circuit = _read(NODES, tmp_path / "c.json")
    for form in ("text", "svg", "dot", "mermaid", "html"):
        text = circuit.export(form, tmp_path / f"x.{form}").read_text().replace("#124;", "|").replace("#43;", "+")
        assert "|1.5" in text, form
        assert "+1.5" not in text, form
        assert LIGHT.positive not in text.partition('<g class="node"')[2].partition("</g>")[0], form
        assert "acts on its own" not in text, form  # nobody has looked for interactions
    assert circuit.export("csv", tmp_path / "x.csv").read_text().splitlines()[1].endswith("false")
    assert '"signed"' in circuit.export("graphml", tmp_path / "x.graphml").read_text()
    assert _rgb_of(circuit.export("gexf", tmp_path / "x.gexf").read_text()) == LIGHT.muted
    for form in ("shapiq", "neuronpedia"):
        with pytest.raises(UserError, match="states the sign of every effect, and that of L0H0 is not known"):
            circuit.export(form, tmp_path / "x.json")
    assert Circuit.load(circuit.save(tmp_path / "circuit.json")) == circuit
    again = eap.read(circuit.export("eap", tmp_path / "again.json"))
    assert [(n.decoded, n.signed) for n in again.nodes] == [(1.5, False)]
    signed = _read(NODES, tmp_path / "c.json", sign="ablation")
    assert '"signed"' not in signed.save(tmp_path / "circuit.json").read_text()


def _rgb_of(gexf):
    found = re.search(r'color r="(\d+)" g="(\d+)" b="(\d+)"', gexf)
    return "#{:02x}{:02x}{:02x}".format(*map(int, found.groups()))


def test_a_file_of_ours_says_its_sign(tmp_path):
    circuit = found(3, (3, 2, False))
    path = eap.write(circuit, tmp_path / "c.json")
    assert {n.name: n.decoded for n in eap.read(path).nodes} == {n.name: n.effect for n in circuit.nodes}
    assert json.loads(path.read_text())["circuitspex"]["sign"] == "ablation"


def test_a_graph_that_keeps_nothing_is_no_empty_circuit(tmp_path):
    nodes = {"input": {"in_graph": True}, "a0.h0": {"in_graph": False, "score": 1.0}, "m0": {"in_graph": False}}
    edges = {name: {**edge, "in_graph": False} for name, edge in _graph()["edges"].items()}
    with pytest.raises(
        FileFormatError, match=r"no head or MLP is in the graph.*only scores: say how many to keep .eap"
    ):
        _read(_graph(nodes=nodes, edges=edges), tmp_path / "c.json")
    for level in ("auto", "edges"):
        with pytest.raises(FileFormatError, match="no edge is in the graph"):
            _read(_graph(nodes={}, edges=edges), tmp_path / "c.json", level=level)


def test_an_effect_that_no_score_says_is_refused_and_a_sum_of_some_edges_says_so(tmp_path):
    with pytest.raises(FileFormatError, match=r"nodes.a0.h0 is in the graph, but neither it nor an edge"):
        _read(_graph(edges={}), tmp_path / "c.json", level="nodes")
    edges = {"a0.h0->logits": {"in_graph": True, "score": -2.0}}
    with pytest.warns(UserWarning, match=r"not all edges that leave 1 of the 1 nodes in the graph \(of a0.h0 1 of 2\)"):
        circuit = _read(_graph(edges=edges), tmp_path / "c.json", level="nodes")
    assert "(of a0.h0 1 of 2): their effects add up those that it has" in circuit.run["effects"]


HYBRID = Blocks((0, 4, 2), (True, False, True))


@pytest.mark.parametrize("parallel", [True, False])
def test_the_edges_of_layers_that_differ(parallel):
    whole = list(edges(HYBRID, parallel))
    assert len(whole) == len(set(whole)) == edge_count(HYBRID, parallel)
    leaving = n_outgoing(HYBRID, parallel)
    for name in set(components_of(HYBRID)) - {"logits"}:
        assert leaving[name] == sum(source == name for source, _ in whole)


def test_heads_and_mlps_that_a_layer_does_not_have_are_not_written(tmp_path):
    model = {"n_layers": 3, "n_heads": 4, "heads": [0, 4, 2], "mlps": [True, False, True]}
    circuit = Circuit((node("L1H0", 0.5), node("L2M", 0.25)), (), NONE, model=model, run={"components": "heads+mlps"})
    path = eap.write(circuit, tmp_path / "c.json")
    data = json.loads(path.read_text())
    there = {"input", "m0", "a1.h0", "a1.h1", "a1.h2", "a1.h3", "a2.h0", "a2.h1", "m2", "logits"}
    assert set(data["nodes"]) == there
    assert {end.split("<")[0] for name in data["edges"] for end in name.split("->")} == there
    again = eap.read(path)
    assert (again.model["heads"], again.model["mlps"]) == ([0, 4, 2], [True, False, True])
    with pytest.raises(UserError, match=r"no such component, so that a0.h1"):
        eap.write(dataclasses.replace(circuit, nodes=(node("L0H1", 1.0),)), tmp_path / "d.json")


def test_an_old_circuit_of_layers_that_may_differ_states_only_its_own_components(tmp_path):
    model = {"n_layers": 2, "n_heads": 4}
    old = Circuit((node("L1H0", 0.5),), (), NONE, model=model, run={"components": "heads", "n_components": 4})
    data = json.loads(eap.write(old, tmp_path / "c.json").read_text())
    assert set(data["nodes"]) == {"input", "m0", "a1.h0", "m1", "logits"}
    assert data["nodes"]["m0"] == {"in_graph": True}
    alike = dataclasses.replace(old, run={"components": "heads", "n_components": 8})
    data = json.loads(eap.write(alike, tmp_path / "d.json").read_text())
    assert data["nodes"]["a0.h3"]["in_graph"] is False
    assert 0 < data["nodes"]["a0.h3"]["score"] < 1e-3  # its place


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "not JSON, or cut short"),
        ("[" * 100_000, "more than 100 deep"),
        ("[]", "not an EAP graph"),
        ({"cfg": {}, "nodes": {}}, "needs the objects 'cfg', 'nodes' and 'edges'"),
        (_graph(cfg={"n_layers": 1}), "cfg.n_heads must be a whole number"),
        (_graph(cfg={"n_layers": True, "n_heads": 1}), "cfg.n_layers must be"),
        (_graph(cfg={"n_layers": 9_999, "n_heads": 9_999}), "at most 1,000,000 heads"),
        (_graph(nodes={"a1.h0": True}), "nodes names 'a1.h0'"),
        (_graph(nodes={"m0": {}}), "nodes.m0 must have 'in_graph'"),
        (_graph(nodes={"m0": {"in_graph": True, "score": "1"}}), "nodes.m0.score must be a finite number"),
        (_graph(nodes={"m0": {"in_graph": True, "score": math.inf}}), "holds the number 'Infinity'"),
        (_graph(nodes={"m0": {"in_graph": True, "score": 10**400}}), "which is too large"),
        (_graph(nodes={"m0": {"in_graph": True, "neurons": [True, False]}}), "only some of its neurons"),
        (_graph(edges={"a0.h0->x": {}}), "edges names 'a0.h0->x'"),
        (_graph(edges={"input->m0": {"score": 1}}), "edges.input->m0 must have 'in_graph'"),
    ],
)
def test_damaged_files_are_one_clear_line(data, said, tmp_path):
    with pytest.raises(FileFormatError) as caught:
        _read(data, tmp_path / "c.json")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'c.json'}: ")
    assert said in message
    assert "\n" not in message
    assert len(message) < len(str(tmp_path)) + 200


def test_missing_files_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(FileFormatError, match="there is no such file"):
        eap.read(tmp_path / "none.json")
    (tmp_path / "c.json").write_bytes(b"PK\x03\xff")
    with pytest.raises(FileFormatError, match="not UTF-8"):
        eap.read(tmp_path / "c.json")
