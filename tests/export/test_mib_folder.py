"""The folder for MIB's circuit track: a score for everything, and one circuit a share of the edges."""

import json
import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from test_eap import load
from test_eap_edges import SHAPES, found, graph_of, in_file

import circuitspex as cx
from circuitspex.circuits import choose, match
from circuitspex.cli.main import main
from circuitspex.errors import UserError
from circuitspex.export.graphs import mib
from circuitspex.recovery import Interactions

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def function_of(names, seed=0):
    """A made-up function with effects of single parts and of pairs."""
    rng = np.random.default_rng(seed)
    masks = rng.random((400, len(names))) < 0.5
    single, pairs = rng.normal(size=len(names)), rng.integers(len(names), size=(6, 2))
    values = masks @ single + sum(2.0 * (masks[:, i] & masks[:, j]) for i, j in pairs)
    return cx.decode(masks, values, names=names, method="linear")


@pytest.fixture(scope="module")
def searched(tiny: SimpleNamespace):
    """A small model of which all heads and MLPs were searched."""
    model = tiny.bridge("llama")
    options = {"budget": 60, "n_heldout": 20, "n_contexts": 4, "progress": False, "directions": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # random models can't do the task
        return cx.find_circuit(model, tiny.task(model, (5,) * 8), "heads+mlps", "resample", **options)


def between(inside, cfg):
    """The edges of a file between these nodes, by hand."""
    whole, order = [], ["input"]
    for layer in range(cfg["n_layers"]):
        heads = [f"a{layer}.h{i}" for i in range(cfg["n_heads"])]
        whole += [f"{one}->{head}<{slot}>" for one in order for head in heads for slot in "qkv"]
        order += [] if cfg["parallel_attn_mlp"] else heads
        whole += [f"{one}->m{layer}" for one in order]
        order += [*(heads if cfg["parallel_attn_mlp"] else []), f"m{layer}"]
    whole += [f"{one}->logits" for one in order]
    return {edge for edge in whole if {end.split("<")[0] for end in edge.split("->")} <= inside}, len(whole)


def test_every_part_has_a_score_of_its_own_and_circuits_are_the_largest_that_fit(searched, tmp_path) -> None:
    files = searched.to_mib(tmp_path / "mib")
    assert {str(path.relative_to(tmp_path / "mib")) for path in files} == {
        "importances/importances.json",
        *(f"{way}/{share:g}.json" for way in ("chosen", "matched") for share in SHARES),
    }
    cfg, nodes, edges, _ = load(files[0])
    decoded, kept = searched.interactions.main_effects, {n.name: n.effect for n in searched.circuit.nodes}
    scores = {name: score for name, (_, score) in nodes.items() if name not in ("input", "logits")}
    assert len(set(scores.values())) == len(scores) == searched.interactions.n_players
    for name, score in scores.items():
        own = f"L{name[1:]}M" if name[0] == "m" else f"L{name[1:].replace('.h', 'H')}"
        wanted = kept.get(own, decoded.get(own, 0.0))
        assert score == pytest.approx(wanted, abs=0.001 * min(abs(v) for v in scores.values() if v))
    assert all(score != 0 for _, score in edges.values())
    for way, choice in (("chosen", choose), ("matched", match)):
        for share in SHARES:
            path = tmp_path / "mib" / way / f"{share:g}.json"
            _, nodes, edges, data = load(path)
            inside = {name for name, (in_graph, _) in nodes.items() if in_graph}
            wanted, whole = between(inside, cfg)
            assert {name for name, (in_graph, _) in edges.items() if in_graph} == wanted
            assert set(data["edges"]) == wanted  # others are left out, which readers take for not in the graph
            assert len(wanted) <= share * whole
            if not wanted:  # not even the edge from the input to the logits fits
                assert share * whole < 1
                continue
            size = len(inside) - 2
            more = choice(
                searched.interactions,
                min(size + 1, searched.interactions.n_players),
                **({"time_limit": 0} if way == "chosen" else {}),
            ).members
            names = {_file(searched.interactions.names[i]) for i in more} | {"input", "logits"}
            assert size == searched.interactions.n_players or len(between(names, cfg)[0]) > int(share * whole)


def _file(name):
    return f"m{name[1:-1]}" if name.endswith("M") else "a" + name[1:].replace("H", ".h")


def test_a_search_among_heads_says_which_shares_are_empty(tmp_path, searched) -> None:
    model = searched.circuit.model
    names = [f"L{x}H{i}" for x, n in enumerate(model["heads"]) for i in range(n)]
    circuit = cx.Circuit(
        nodes=tuple(n for n in searched.circuit.nodes if n.name in names),
        interactions=(),
        faithfulness=searched.faithfulness,
        model=model,
        run={"components": "heads"},
    )
    with pytest.warns(UserWarning, match=r"never ablated. takes more than .*% of the model's edges.* are empty"):
        files = mib.write(circuit, function_of(names), tmp_path)
    _, nodes, edges, _ = load(tmp_path / "chosen" / "0.001.json")
    assert not any(in_graph for in_graph, _ in edges.values())
    assert not any(in_graph for name, (in_graph, _) in nodes.items() if name != "logits")
    assert all(in_graph for in_graph, _ in load(files[10])[2].values())  # chosen/1.json
    with pytest.raises(UserError, match="of 2 other parts than"):
        mib.write(circuit, function_of(["L0H0", "L1M"]), tmp_path)


@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[4]])
def test_circuits_of_edges_are_counted_as_the_format_counts_them(shape, tmp_path) -> None:
    circuit, graph = found(1, shape), graph_of(shape)
    names = [str(graph.edge(i)) for i in range(len(graph))]
    function = function_of(names)
    files = mib.write(circuit, function, tmp_path)
    scores = {name: edge["score"] for name, edge in json.loads(files[0].read_text())["edges"].items()}
    kept = {n.name: n.effect for n in circuit.nodes}
    for name in names:
        wanted = kept.get(name, function.main_effects.get(name, 0.0))
        assert math.fsum(scores[each] for each in in_file(name, graph)) == pytest.approx(wanted, abs=1e-3)
    for share in SHARES:
        data = json.loads((tmp_path / "chosen" / f"{share:g}.json").read_text())
        inside = {name for name, edge in data["edges"].items() if edge["in_graph"]}
        assert len(inside) <= share * len(scores)
        ours = [name for name in names if set(in_file(name, graph)) <= inside]
        assert {each for name in ours for each in in_file(name, graph)} == inside
        best = choose(function, len(ours), time_limit=0)
        places = [names.index(name) for name in ours]
        mask = np.zeros((1, len(names)), dtype=bool)
        mask[0, places] = True
        assert float(function.predict(mask)[0]) >= best.value - 1e-6
    assert len(json.loads((tmp_path / "chosen" / "1.json").read_text())["edges"]) == len(scores)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_search_among_edges_gives_the_circuits_that_it_ran(tiny: SimpleNamespace, tmp_path, capsys) -> None:
    model = tiny.bridge("llama")
    options = {"n_heldout": 20, "n_contexts": 4, "max_nodes": 4, "progress": False, "directions": False}
    searched = cx.find_circuit(model, tiny.task(model, (5,) * 8), "edges", "resample", 24, **options)
    assert searched.edges is not None
    files = searched.to_mib(tmp_path)
    data, graph = json.loads(files[0].read_text()), searched.edges.selection.graph
    inside = {name for name, edge in data["edges"].items() if edge["in_graph"]}
    assert inside == {each for node in searched.circuit.nodes for each in in_file(node.name, graph)}
    for name, score in zip(searched.edges.names, searched.edges.scores.tolist(), strict=True):
        parts = [data["edges"][each]["score"] for each in in_file(name, graph)]
        assert math.fsum(parts) == pytest.approx(score, abs=1e-3 * np.abs(searched.edges.scores).max())
    for way in ("chosen", "matched"):
        for share in SHARES:
            kept = json.loads((tmp_path / way / f"{share:g}.json").read_text())["edges"]
            assert len(kept) <= share * len(data["edges"])
            assert all(edge["in_graph"] for edge in kept.values())
            assert share < 0.1 or kept
    circuit = searched.circuit.save(tmp_path / "circuit.json")
    searched.interactions.save(tmp_path / "interactions.json")
    assert main(["export", str(circuit), "--to", "mib"]) == 1
    assert "found.to_mib(folder), or circuitspex find --mib" in capsys.readouterr().err


def test_the_command_reads_the_function_beside_the_circuit(searched, tmp_path, capsys) -> None:
    circuit = searched.circuit.save(tmp_path / "circuit.json")
    command = ["export", str(circuit), "--to", "mib,text", "--json"]
    assert main(command) == 1
    assert "interactions.json" in capsys.readouterr().err
    searched.interactions.save(tmp_path / "interactions.json")
    assert main(command) == 0
    written = json.loads(capsys.readouterr().out)["files"]
    assert len(written) == 22
    assert str(tmp_path / "circuit.mib" / "matched" / "0.5.json") in written
    assert Interactions.load(tmp_path / "interactions.json").names == searched.interactions.names
    assert main(["export", str(circuit), "--to", "svg", "--interactions", "x.json"]) == 1
    assert "--interactions is for --to mib" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_find_writes_the_folder_where_it_is_asked_to(tiny: SimpleNamespace, tmp_path, capsys) -> None:
    tiny.hf_model("llama", seed=0).save_pretrained(tmp_path / "one")
    tiny.tokenizer.save_pretrained(tmp_path / "one")
    row = {"prompt": "w1 w2 w3", "counterfactual": "w4 w5 w6", "answer": " w50", "wrong_answer": " w51"}
    rows = [{**row, "prompt": f"w1 w{i} w3"} for i in range(10, 18)]
    (tmp_path / "task.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    find = ["find", "--model", str(tmp_path / "one"), "--task", str(tmp_path / "task.jsonl"), "--mib"]
    assert main(find) == 1
    assert "--mib writes to the folder of --out" in capsys.readouterr().err
    find += ["--components", "heads+mlps", "--budget", "30", "--heldout-masks", "8", "--contexts", "2"]
    assert main([*find, "--out", str(tmp_path / "out")]) == 0
    assert "circuit.mib (21 files)" in capsys.readouterr().out
    assert (tmp_path / "out" / "circuit.mib" / "chosen" / "0.2.json").exists()
