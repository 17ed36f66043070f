"""What once was ignored, taken for something else, or said too late: each is one line now, or does what was asked."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from circuitspex.circuits import Circuit, Faithfulness, Node
from circuitspex.cli.main import main
from circuitspex.cli.options import not_empty


@pytest.fixture
def here(tiny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, a task, a circuit, and games."""
    tiny.hf_model("llama").save_pretrained(tmp_path / "model")
    tiny.tokenizer.save_pretrained(tmp_path / "model")
    row = {"prompt": "w1 w5 w3", "counterfactual": "w2 w6 w5", "answer": " w50", "wrong_answer": " w51"}
    other = {**row, "prompt": "w1 w7 w3"}
    (tmp_path / "task.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(other)}\n")
    Circuit(
        nodes=(Node("L0H1", 0, "head", 1.0), Node("L1M", 1, "mlp", 1.0)),
        interactions=(),
        faithfulness=Faithfulness(None, None, None, 0),
        model={"name": "model", "dtype": "float32"},
        task={"name": "task.jsonl", "metric": "logit_diff"},
        run={"lens": "components", "components": "heads+mlps", "baseline": "zero"},
    ).save(tmp_path / "circuit.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIRCUITSPEX_CACHE", str(tmp_path / "cache"))
    return tmp_path


FIND = ["find", "--model", "model", "--task", "task.jsonl"]
REFUSED = [
    ([*FIND, "--components", "neurons:8", "--mib", "--out", "out"], "an EAP graph has whole heads and MLPs only"),
    ([*FIND, "--components", "heads@-1", "--mib", "--out", "out"], "an EAP graph has no token positions"),
    (["find", "--model", "smollm2-135m@main", "--task", "ioi"], "'smollm2-135m' and revision 'main'"),
    *(
        (["find", "--model", name, "--task", "ioi"], "is neither a file, a directory nor a model name")
        for name in ("a--b", "a..b", "name.", "é", "org/é", "n" * 120)
    ),
    (["apply", "circuit.json", "--prompt", "w1", "--model", "model@x"], "is neither a file, a directory nor a model"),
    (["apply", "circuit.json", "--prompt", "w1", "--scale", "1e308"], "scale is a finite number of at most 10000"),
    (["apply", "circuit.json", "--prompt", "w1", "--among", "attns"], "L0A holds L0H1, which is in the circuit"),
    (["prune", "circuit.json", "--out", "model", "--overwrite"], "is where the model itself is read from"),
    (["prune", "circuit.json", "--out", ".", "--overwrite"], "no folder of a model"),
    (["describe", "circuit.json", "--prompts", "3"], "--prompts is for built-in tasks, not for task.jsonl"),
    (["verify", "circuit.json", "--dtype", "float64"], "was found in float32 and is verified in that"),
    (["runs", "list", "foo"], "list takes no id; did you mean: circuitspex runs show foo"),
    (["runs", "list", "--all"], "--all is for delete alone"),
    (["runs", "show", "foo", "--yes"], "--yes is for delete alone"),
    (["models", "list", "foo"], "list takes no name; did you mean: circuitspex models get foo"),
    (["explain", "ends.py:Game", "--budget", "8"], "ends.py called sys.exit(0)"),
    (["explain", "ends_late.py:play", "--players", "3", "--budget", "8"], "ends_late.py:play called sys.exit(3)"),
]


@pytest.mark.parametrize(("command", "line"), REFUSED)
def test_one_line(here: Path, capsys: pytest.CaptureFixture[str], command: list[str], line: str) -> None:
    (here / "ends.py").write_text("import sys\nclass Game: n_players = 3\nsys.exit(0)\n")
    (here / "ends_late.py").write_text("def play(masks):\n    raise SystemExit(3)\n")
    before = sorted(path.name for path in (here / "model").iterdir())
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in (here / "model").iterdir()) == before


@pytest.mark.parametrize("command", [["--out", ""], ["--components", ""], ["--heldout", " "]])
def test_nothing_is_no_value(here: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*FIND, *command])
    assert ended.value.code == 2
    assert "must not be empty" in capsys.readouterr().err
    assert not_empty("heads") == "heads"


def test_ids_and_names_may_follow_an_option(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(here / "runs.sqlite")
    game = "def play(masks):\n    return masks[:, 0] * 1.0\n"
    (here / "mine.py").write_text(game)
    quick = ["--budget", "8", "--heldout-masks", "4", "--contexts", "2"]
    assert main(["explain", "mine.py:play", "--players", "3", *quick]) == 0
    capsys.readouterr()
    for command in (["runs", "show", "--json", "abc"], ["runs", "delete", "--yes", "abc", "def"]):
        assert main([*command, "--store", store]) == 1
        assert f"there is no store at {store}" in capsys.readouterr().err
    assert main(["models", "get", "--json", "no-such"]) == 1
    assert "'no-such' is not in the offline catalogue" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["runs", "show", "abc", "--unknown", "x"])


def test_messages_name_the_option_that_there_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.py").write_text("def play(masks):\n    return masks[:, 0] * 1.0\n")
    command = ["explain", "mine.py:play", "--players", "3", "--budget", "8", "--heldout-masks", "99999999999"]
    assert main(command) == 1
    assert "--heldout-masks must be at most" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["random", "json", "circuitspex"])
def test_a_game_may_be_in_a_file_named_like_a_module(here: Path, name: str) -> None:
    (here / f"{name}.py").write_text("def play(masks):\n    return masks[:, 0] * 1.0\n")
    quick = ["--budget", "8", "--heldout-masks", "4", "--contexts", "2", "--out", str(here / "out")]
    assert main(["explain", f"{name}.py:play", "--players", "3", *quick]) == 0
    assert (here / "out" / "circuit.json").exists()


def test_parts_within_those_that_are_kept_are_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neurons of an MLP of the circuit are no others."""
    assert main(["prune", "circuit.json", "--among", "neurons", "--out", "small", "--json"]) == 0
    pruned = json.loads(capsys.readouterr().out)["pruned"]
    assert pruned["n_ablated"] == 96  # 48 in each of the two other layers


def test_describing_one_component_keeps_what_was_said_of_others(here: Path) -> None:
    file = str(here / "circuit.json")
    assert main(["describe", file]) == 0
    whole = Circuit.load(file).description
    assert main(["describe", file, "--only", " L1M "]) == 0
    again = Circuit.load(file).description
    assert whole is not None
    assert again is not None
    assert list(again) == list(whole) == ["L0H1", "L1M"]
    assert again.breakdown == whole.breakdown
