"""Circuits of edges on the command line: found, verified, and what is wrong said before a model is loaded."""

from __future__ import annotations

import json

import pytest

from circuitspex.cli.main import main
from circuitspex.models import load


@pytest.fixture
def loads(tiny, monkeypatch):
    """Every name loads a tiny model."""
    model = tiny.fresh_bridge("llama")
    monkeypatch.setattr("circuitspex.models.load_model", lambda *args, **options: model)
    monkeypatch.setattr("circuitspex.models.sources.check_model", lambda *args, **options: None)
    monkeypatch.setattr("circuitspex.models.sources.layers_of", lambda *args, **options: 3)
    return model


@pytest.fixture
def task_file(tmp_path):
    """Prompts that differ from their counterfactuals by the last word, always the same: edges have steady effects."""
    examples = [
        {"prompt": f"w{i} w3 w9 w1", "counterfactual": f"w{i} w3 w9 w2", "answer": "w7", "wrong_answer": "w8"}
        for i in range(20, 32)
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(each) + "\n" for each in examples))
    return tmp_path / "mine.jsonl"


def test_find_writes_a_circuit_of_edges_and_verify_examines_it(loads, task_file, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["find", "--model", "tiny", "--task", str(task_file), "--components", "edges", "--budget", "60"]
    few = ["--heldout-masks", "12", "--contexts", "16", "--store", "off", "--out", str(out)]
    assert main([*command, *few]) == 0
    text = capsys.readouterr().out
    assert "190 edges" in text
    assert "share of the behaviour" in text
    data = json.loads((out / "circuit.json").read_text())
    assert data["run"]["lens"] == "edges"
    assert data["run"]["baseline"] == "resample"
    assert data["nodes"]
    code = main(["verify", str(out / "circuit.json"), "--model", "tiny", "--task", str(task_file), "--store", "off"])
    assert code == 0, capsys.readouterr().err
    assert "chosen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("find --components edges-", "a shell takes '>' for itself; put the selector into quotes"),
        ("find --components L0H1->L9H3.q", "L9: tiny has 3 layers"),
        ("find --components edges --refine 2", "--refine"),
        ("find --components edges --budget 4", "must be at least 6"),
        ("find --components edges --baseline median", "median"),
        ("find --components edges --precision bfloat16", "half precision"),
        ("find --components edges --executor batched", "unknown executor 'batched' for edges"),
        ("compare --components edges --model tiny", "edges are searched by"),
        ("find --levels heads,edges", "edges are searched by"),
    ],
)
def test_what_is_wrong_is_one_line_before_a_model_is_loaded(arguments, line, tmp_path, monkeypatch, capsys):
    def never(*args, **options):
        raise AssertionError("a model was loaded")

    for place in ("_read", "_bridge"):
        monkeypatch.setattr(load, place, never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text(json.dumps({"num_hidden_layers": 3}))
    example = {"prompt": "a b", "counterfactual": "a c", "answer": " d", "wrong_answer": " e"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(example) + "\n")
    try:
        code = main([*arguments.split(), "--model", "tiny", "--task", "mine.jsonl", "--store", "off"])
    except SystemExit as error:
        code = error.code
    err = capsys.readouterr().err
    assert code != 0
    assert line in err
    assert len([each for each in err.strip().splitlines() if each.startswith("circuitspex")]) == 1
