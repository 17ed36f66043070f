"""``circuitspex describe``, as a user calls it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from circuitspex.circuits import Circuit, Description
from circuitspex.cli.main import main
from circuitspex.export.files.description import DESCRIPTION


@pytest.fixture(scope="module")
def folder(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, a task file with a named position, and a finished ``find`` on the first."""
    folder = tmp_path_factory.mktemp("user")
    for name, seed in (("one", 0), ("two", 1)):
        tiny.hf_model("llama", seed=seed).save_pretrained(folder / name)
        tiny.tokenizer.save_pretrained(folder / name)
    rows = [
        {
            "prompt": f"w1 w{i} w3 w4",
            "counterfactual": f"w2 w{i + 9} w5 w6",
            "answer": " w50",
            "wrong_answer": " w51",
            "positions": {"subject": 1},
        }
        for i in range(6)
    ]
    (folder / "task.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    find = ["find", "--model", str(folder / "one"), "--task", str(folder / "task.jsonl"), "--components", "heads+mlps"]
    quick = ["--budget", "40", "--heldout-masks", "20", "--contexts", "4", "--out", str(folder / "out")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main([*find, *quick]) == 0
    return folder


def describe(folder: Path, *more: str) -> list[str]:
    return ["describe", str(folder / "out" / "circuit.json"), *more]


def test_it_prints_and_writes_what_each_component_does(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(describe(folder, "--out", str(tmp_path))) == 0  # the prompts are those in the file
    out = capsys.readouterr().out
    circuit = Circuit.load(tmp_path / "circuit.json")
    assert circuit.description is not None
    assert list(circuit.description) == [node.name for node in circuit.nodes]
    for node in circuit.nodes:
        assert f"\n{node.name}: " in out
    assert all("subject" in [at.name for at in about.where] for about in circuit.description.components)
    assert {path.name for path in tmp_path.iterdir()} == {"circuit.json", "circuit.html", "description.txt"}
    assert (tmp_path / "description.txt").read_text() in out
    assert circuit.description.task == circuit.task["identity"]  # with the held-out prompts in the mean baseline
    before = Circuit.load(folder / "out" / "circuit.json")
    assert before.description is None
    assert circuit.nodes == before.nodes
    assert circuit.interactions == before.interactions


@pytest.mark.parametrize("how", [("--device", "cpu"), ("--dtype", "float32")])
def test_it_loads_as_it_is_told(folder: Path, tmp_path: Path, how: tuple[str, str]) -> None:
    assert main(["describe", str(folder / "out" / "circuit.json"), *how, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "circuit.json").exists()


def test_one_component_as_json_beside_the_circuit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = folder / "copy"
    copy.mkdir()
    (copy / "mine.json").write_bytes((folder / "out" / "circuit.json").read_bytes())
    name = Circuit.load(copy / "mine.json").nodes[0].name
    command = ["describe", str(copy / "mine.json"), "--task", str(folder / "task.jsonl"), "--only", name, "--json"]
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)
    found: Description = DESCRIPTION.from_json(said["description"])
    assert list(found) == [name]
    assert {path.name for path in copy.iterdir()} == {"mine.json", "mine.html", "description.txt"}
    assert Circuit.load(copy / "mine.json").description == found


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--only", "L9H9"], "L9H9 is not in this circuit; its components are L"),
        (["--task", "nothing"], "unknown task 'nothing'"),
        (["--model", "no/such"], "no/such"),
        (["--prompts", "0"], "must be at least 1"),
    ],
)
def test_a_wrong_call_is_one_line_before_anything_is_loaded(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    says: str,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    if more[0] != "--model":
        monkeypatch.setattr("circuitspex.models.load_model", lambda *args, **options: pytest.fail("loaded"))
    try:
        code = main(describe(folder, *more))
    except SystemExit as exit:
        code = int(str(exit.code))
    assert code in (1, 2)
    assert says in capsys.readouterr().err


def test_another_model_or_task_that_does_not_fit_is_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(describe(folder, "--model", str(folder / "two"))) == 1
    error = capsys.readouterr().err
    assert "has other weights than the model that the circuit was found in" in error
    assert len(error.strip().splitlines()) == 1
    rows = (folder / "task.jsonl").read_text().replace('"subject": 1', '"subject": 7')
    (tmp_path / "wrong.jsonl").write_text(rows)
    assert main(describe(folder, "--task", str(tmp_path / "wrong.jsonl"), "--out", str(tmp_path))) == 1
    assert "there is no position 7 ('subject'); the prompt has 4 tokens" in capsys.readouterr().err
    name = Circuit.load(folder / "out" / "circuit.json").nodes[0].name
    text = (folder / "out" / "circuit.json").read_text()
    data = json.loads(text.replace(f'"{name}"', '"L77M"'))
    data["model"] = {"name": data["model"]["name"]}
    for node in data["nodes"]:
        if node["name"] == "L77M":
            node |= {"layer": 77, "kind": "mlp"}
    (tmp_path / "circuit.json").write_text(json.dumps(data))
    assert main(["describe", str(tmp_path / "circuit.json"), "--task", str(folder / "task.jsonl")]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "L77M" in error
    assert "3 layers" in error
    assert not (tmp_path / "description.txt").exists()


def test_what_is_no_circuit_of_components(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixture = Path(__file__).parents[1] / "fixtures" / "formats" / "circuit.json"
    data = json.loads(fixture.read_text())
    data["run"]["lens"] = "tokens"
    (tmp_path / "words.json").write_text(json.dumps(data))
    assert main(["describe", str(tmp_path / "words.json")]) == 1
    assert "no circuit of single components of a model (its lens is 'tokens')" in capsys.readouterr().err
