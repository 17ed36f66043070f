"""``circuitspex export``: every registered format is listed, written, and ends as its readers expect."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from circuitspex.circuits import Circuit, Estimate, Faithfulness, Interaction, Node, formats
from circuitspex.cli.main import build_parser, main
from circuitspex.export.graphs import eap


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A circuit.json of heads and MLPs."""
    names = ("L0H0", "L1H1", "L1M", "L2H0")
    circuit = Circuit(
        nodes=tuple(
            Node(name, int(name[1]), "mlp" if name.endswith("M") else "head", i - 1.5, Estimate(i - 1.25, i - 2, i))
            for i, name in enumerate(names)
        ),
        interactions=(Interaction(names[:2], -1.0), Interaction(names[:3], 0.5), Interaction(names, -0.25)),
        faithfulness=Faithfulness(0.9, 0.8, 0.95, 100),
        model={"name": "a model", "n_layers": 3, "n_heads": 2},
        task={"name": "a task", "metric": "logit_diff", "example": {"prompt": "one two"}},
        run={"components": "heads+mlps"},
    )
    return circuit.save(tmp_path / "circuit.json")


def test_help_lists_every_format_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    endings = {formats.ending("Circuit", name) for name in formats.names()}
    assert len(endings) == len(formats.names())
    with pytest.raises(SystemExit):
        build_parser().parse_args(["export", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert all(f" {name}" in printed for name in formats.names())


def test_every_format_is_written_where_it_says(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(saved), "--to", ",".join(formats.names()), "--out", str(out), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    wanted = {f"circuit.{formats.ending('Circuit', name)}" for name in formats.names()} | {"circuit.interactions.csv"}
    assert {path.name for path in out.iterdir()} == wanted
    assert sorted(files) == sorted(map(str, out.iterdir()))
    assert all(path.stat().st_size > 0 for path in out.iterdir())
    for name in wanted:
        if name.endswith(".json"):
            assert json.loads((out / name).read_text(encoding="utf-8"))


def test_the_text_formats_are_the_same_twice(saved: Path, tmp_path: Path) -> None:
    texts = "dot,mermaid,graphml,gexf,csv,neuronpedia,eap,shapiq"
    for name in ("a", "b"):
        assert main(["export", str(saved), "--to", texts, "--out", str(tmp_path / name)]) == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_an_eap_graph_comes_back(saved: Path, tmp_path: Path) -> None:
    assert main(["export", str(saved), "--to", "eap"]) == 0
    again = eap.read(tmp_path / "circuit.eap.json")
    assert {node.name: node.decoded for node in again.nodes} == {
        node.name: node.effect for node in Circuit.load(saved).nodes
    }


def test_what_a_format_can_not_say_is_one_clear_line(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    circuit = Circuit.load(saved)
    dataclasses.replace(circuit, nodes=(Node("L0N0:4", 0, "neurons", 1.0),), interactions=()).save(saved)
    assert main(["export", str(saved), "--to", "eap"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "can't hold L0N0:4 (neurons)" in line
    assert not (tmp_path / "circuit.eap.json").exists()


def test_text_formats_render_without_a_file(saved: Path) -> None:
    circuit = Circuit.load(saved)
    assert formats.render(circuit, "dot").startswith("graph circuit {")
    assert "flowchart BT" in formats.render(circuit, "mermaid")


def test_a_graph_of_another_tool_is_read_and_never_overwritten(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    circuit = Circuit.load(saved)
    graph = tmp_path / "importances.json"
    circuit.export("eap", graph)
    data = json.loads(graph.read_text())
    for part in (*data["nodes"].values(), *data["edges"].values()):
        part["in_graph"] = False  # as attribution writes it
    data.pop("circuitspex")
    graph.write_text(json.dumps(data))
    command = ["export", str(graph), "--from", "eap", "--to", "json,eap"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    assert "no head or MLP is in the graph" in capsys.readouterr().err
    assert main([*command, "--top", "3", "--sign", "ablation", "--out", str(tmp_path / "out")]) == 0
    read = Circuit.load(tmp_path / "out" / "importances.json")
    assert {n.name for n in read.nodes} == {"L0H0", "L1M", "L2H0"}
    assert main([*command, "--top", "12", "--level", "edges", "--out", str(tmp_path / "out")]) == 0
    assert Circuit.load(tmp_path / "out" / "importances.json").run["lens"] == "edges"
    capsys.readouterr()
    assert main([*command, "--top", "3"]) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert main(["export", str(saved), "--to", "svg", "--top", "3"]) == 1
    assert "--top is for --from eap" in capsys.readouterr().err
    assert main(["export", str(graph), "--to", "svg"]) == 1
    assert "not a circuit file" in capsys.readouterr().err
