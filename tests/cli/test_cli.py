"""The command line: exit codes, one line for each failure, files that are whole, ``--json`` that is JSON."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from circuitspex.circuits import Circuit
from circuitspex.cli.main import build_parser, main
from circuitspex.models import sources
from circuitspex.recovery import Interactions

EXAMPLES = 6


@pytest.fixture(scope="module")
def folder(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory and a task file, as a user has them."""
    folder = tmp_path_factory.mktemp("user")
    tiny.hf_model("phi3").save_pretrained(folder / "model")
    tiny.tokenizer.save_pretrained(folder / "model")
    rows = [
        {
            "prompt": f"w1 w{i} w3 w4",
            "counterfactual": f"w2 w{i + 9} w5 w6",
            "answer": " w50",
            "wrong_answer": f" w{51 + i}",
        }
        for i in range(EXAMPLES)
    ]
    (folder / "task.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    """The folder of a finished ``find``."""
    out = folder / "out"
    assert main(find_command(folder, "--out", str(out))) == 0
    return out


def find_command(folder: Path, *more: str) -> list[str]:
    command = ["find", "--model", str(folder / "model"), "--task", str(folder / "task.jsonl")]
    return [*command, "--budget", "30", "--heldout-masks", "20", "--contexts", "3", *more]


def test_find_writes_whole_files(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"circuit.json", "circuit.html", "circuit.svg", "circuit.png", "interactions.json"}
    assert {path.name for path in finished.iterdir()} == names
    circuit = Circuit.load(finished / "circuit.json")
    assert circuit.run["budget"] == 30
    assert circuit.task["name"] == "task"
    assert Interactions.load(finished / "interactions.json").n_players == circuit.run["n_components"]


def test_find_prints_the_circuit_and_the_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(find_command(folder, "--out", str(tmp_path))) == 0
    printed = capsys.readouterr()
    assert "held-out masks" in printed.out
    assert str(tmp_path / "circuit.json") in printed.out
    assert all(line.startswith("warning: ") for line in printed.err.splitlines() if line.strip())


def test_find_json_is_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(find_command(folder, "--json")) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["circuit"]["format"] == "circuitspex.circuit"
    assert data["files"] == []


def test_export_writes_every_format(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(finished / "circuit.json")
    assert main(["export", source, "--to", "svg,png,pdf,html,json,text", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.split()
    assert {Path(line).suffix for line in printed} == {".svg", ".png", ".pdf", ".html", ".json", ".txt"}
    assert all(Path(line).stat().st_size > 200 for line in printed)
    assert Circuit.load(tmp_path / "circuit.json") == Circuit.load(finished / "circuit.json")


def test_export_is_the_same_twice(finished: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        main(["export", str(finished / "circuit.json"), "--to", "svg,html", "--out", str(tmp_path / name), "--json"])
    for kind in ("svg", "html"):
        first, second = ((tmp_path / name / f"circuit.{kind}").read_bytes() for name in ("a", "b"))
        assert first == second


FAILURES = [
    (["find", "--model", "no-such-model", "--task", "ioi"], "not in the offline catalogue"),
    (["find", "--model", "{folder}/nothing.gguf", "--task", "ioi"], "no such file"),
    (["find", "--model", "{folder}/model", "--task", "chess"], "chess"),
    (["find", "--model", "{folder}/model", "--task", "{folder}/gone.jsonl"], "gone.jsonl"),
    (
        ["find", "--model", "{folder}/model", "--task", "{folder}/task.jsonl", "--components", "L40H0"],
        "layers, L0 to L2",
    ),
    (["find", "--model", "{folder}/model", "--task", "{folder}/task.jsonl", "--metric", "joy"], "joy"),
    (["find", "--model", "{folder}/model", "--task", "{folder}/task.jsonl", "--out", "{folder}/task.jsonl/x"], "can't"),
    (["export", "{folder}/gone.json", "--to", "svg"], "gone.json"),
    (["export", "{folder}/task.jsonl", "--to", "svg"], "task.jsonl"),
    (["export", "{folder}/out/circuit.json", "--to", "gif"], "unknown format 'gif'; known:"),
    (["models", "get", "gpt-17"], "known: smollm2-135m"),
    (["models", "get"], "which model"),
]


@pytest.mark.parametrize(("command", "message"), FAILURES, ids=[" ".join(c)[:60] for c, _ in FAILURES])
def test_a_failure_is_one_clear_line(
    command: list[str],
    message: str,
    folder: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sources, "reachable", lambda endpoint: False)
    capsys.readouterr()
    assert main([part.format(folder=folder) for part in command]) == 1
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("circuitspex: ")
    assert message in lines[0]
    assert printed.out == ""


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["juggle"],
        ["find", "--model", "x"],
        ["find", "--model", "x", "--task", "ioi", "--budget", "0"],
        ["find", "--model", "x", "--task", "ioi", "--keep", "1"],
        ["find", "--model", "x", "--task", "ioi", "--keep", "0"],
        ["find", "--model", "x", "--task", "ioi", "--baseline", "median"],
        ["export"],
        ["models", "burn"],
    ],
)
def test_a_usage_error_is_exit_code_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.rstrip().endswith("--help)")


def test_debug_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="which model"):
        main(["models", "get", "--debug"])


def test_every_verb_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("find", "export", "models", "info"):
        with pytest.raises(SystemExit) as stop:
            build_parser().parse_args([verb, "--help"])
        assert stop.value.code == 0
        assert f"example:\n  circuitspex {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["models", "list"], ["info"]])
def test_reports_in_text_and_json(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    assert capsys.readouterr().out.strip()
    assert main([*command, "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_a_damaged_circuit_is_named_and_left_alone(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[Any]
) -> None:
    whole = (finished / "circuit.json").read_text()
    damaged = tmp_path / "circuit.json"
    damaged.write_text(whole[: len(whole) // 2])
    assert main(["export", str(damaged), "--to", "svg"]) == 1
    assert str(damaged) in capsys.readouterr().err
    assert damaged.read_text() == whole[: len(whole) // 2]
    assert not (tmp_path / "circuit.svg").exists()
