"""``circuitspex verify`` and ``circuitspex compare``, as a user calls them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from circuitspex.circuits import Circuit, Comparison
from circuitspex.cli.main import main


@pytest.fixture(scope="module")
def folder(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, a task file, and a finished ``find`` on the first."""
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
        }
        for i in range(8)
    ]
    (folder / "task.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    find = ["find", "--model", str(folder / "one"), "--task", str(folder / "task.jsonl"), "--budget", "40"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert main([*find, "--heldout-masks", "20", "--contexts", "12", "--out", str(folder / "out")]) == 0
    return folder


def verify(folder: Path, *more: str) -> list[str]:
    return ["verify", str(folder / "out" / "circuit.json"), "--task", str(folder / "task.jsonl"), *more]


def compare(folder: Path, *more: str, other: str = "two") -> list[str]:
    models = ["--model", str(folder / "one"), "--model", str(folder / other)]
    quick = ["--budget", "30", "--heldout-masks", "20", "--contexts", "4"]
    return ["compare", *models, "--task", str(folder / "task.jsonl"), *quick, *more]


def test_verify_writes_and_prints_a_report(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(verify(folder, "--random", "3", "--out", str(tmp_path))) == 0
    out = capsys.readouterr().out
    for said in ("Faithfulness by number of components", "chosen over NAP", "Minimality", "verification.png"):
        assert said in out
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"verification.json", "verification.txt", "verification.png", "verification.svg"}
    assert main(verify(folder, "--random", "3", "--out", str(tmp_path), "--json")) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert report["n_prompts"] == 2  # a quarter of the file, as in find
    assert len(report["sizes"] if "sizes" in report else report["curves"]["chosen"]["sizes"]) == 10


def test_verify_and_find_say_one_share_with_one_interval(folder: Path, tmp_path: Path) -> None:
    """The same quantity on the same prompts, from the same function."""
    assert main([*verify(folder), "--random", "1", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "verification.json").read_text())
    found = Circuit.load(folder / "out" / "circuit.json").verification
    assert found is not None
    for name, share in (("kept", found.share_kept), ("left", found.share_left)):
        if share is None:
            assert report[name]["low"] is None
        else:
            assert report[name] == pytest.approx({"value": share.value, "low": share.low, "high": share.high})
    assert found.faithfulness == pytest.approx(report["kept"]["value"])
    assert found.n_prompts == report["n_prompts"]


def test_verify_refuses_another_model_and_missing_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(verify(folder, "--model", str(folder / "two"))) == 1
    assert "has other weights than the model of" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "none.json")]) == 1
    assert "there is no such file" in capsys.readouterr().err
    (tmp_path / "circuit.json").write_bytes((folder / "out" / "circuit.json").read_bytes())
    assert main(["verify", str(tmp_path / "circuit.json")]) == 1
    error = capsys.readouterr().err
    assert "interactions.json" in error
    assert len(error.splitlines()) == 1


def test_verify_of_a_custom_task_asks_for_its_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(folder / "out" / "circuit.json")]) == 1
    assert "give the prompts that the circuit was found on with --task" in capsys.readouterr().err


def test_verify_on_another_task_is_refused_and_on_other_prompts_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verify(folder)[:2], "--task", "capitals"]) == 1
    assert "was found on the task 'task', not 'capitals'" in capsys.readouterr().err
    rows = (folder / "task.jsonl").read_text().splitlines()
    other = tmp_path / "other.jsonl"
    other.write_text("".join(row.replace("w3", "w13") + "\n" for row in rows))
    assert main([*verify(folder)[:2], "--task", str(other), "--random", "1", "--out", str(tmp_path)]) == 0
    assert "are not those that the circuit was found on" in capsys.readouterr().err


def rows(folder: Path, name: str, words: range) -> Path:
    """A file of prompts like those of the task, with these words."""
    path = folder / f"{name}.jsonl"
    lines = [
        {"prompt": f"w1 w{i} w3 w4", "counterfactual": f"w2 w{i + 9} w5 w6", "answer": " w50", "wrong_answer": " w51"}
        for i in words
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_verify_takes_a_file_of_held_out_prompts_and_leaves_out_what_the_search_has_seen(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    circuit = str(folder / "out" / "circuit.json")
    seen = {each["prompt"] for each in Circuit.load(circuit).task["prompts"]}
    assert len(seen) == 6  # of the eight of the file, two are held out
    quick = ["--random", "1", "--out", str(tmp_path)]
    # The circuit's own prompts are those in its file: its task need not be given.
    assert main(["verify", circuit, "--heldout", str(rows(tmp_path, "new", range(20, 25))), *quick, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["report"]["n_prompts"] == 5
    assert "left out" not in err
    assert main(["verify", circuit, "--heldout", str(rows(tmp_path, "more", range(11))), *quick, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["report"]["n_prompts"] == 5
    assert "found on 6 of the 11 held-out prompts of 'more': these are left out, and 5 are held out" in err
    few = [i for i in range(8) if f"w1 w{i} w3 w4" in seen]
    assert main(["verify", circuit, "--heldout", str(rows(tmp_path, "same", range(few[0], few[0] + 1))), *quick]) == 1
    assert "found on all 1 held-out prompts of 'same': none is held out" in capsys.readouterr().err
    assert main(["verify", circuit, "--heldout", "none.jsonl", *quick]) == 1
    assert "can't read task file none.jsonl" in capsys.readouterr().err
    assert main(["verify", circuit, "--heldout", "ioi", "--prompts", "4"]) == 1
    assert "can't be combined" in capsys.readouterr().err


def test_verify_on_a_file_that_has_grown_takes_only_what_is_new(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["verify", str(folder / "out" / "circuit.json"), "--random", "1", "--out", str(tmp_path), "--json"]
    assert main([*command, "--task", str(rows(tmp_path, "task", range(12)))]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["report"]["n_prompts"] == 6  # 12 without the 6 that it was found on
    assert "found on 6 of the 12" in err
    data = json.loads((folder / "out" / "circuit.json").read_text())
    del data["task"]["prompts"]  # as files of before
    (tmp_path / "circuit.json").write_text(json.dumps(data))
    (tmp_path / "interactions.json").write_bytes((folder / "out" / "interactions.json").read_bytes())
    command[1] = str(tmp_path / "circuit.json")
    assert main([*command, "--task", str(tmp_path / "task.jsonl")]) == 1
    assert "none can be called held out" in capsys.readouterr().err
    assert main([*command, "--task", str(folder / "task.jsonl")]) == 0  # the same prompts, by their identity
    assert json.loads(capsys.readouterr().out)["report"]["n_prompts"] == 2


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_find_with_a_held_out_file_searches_on_all_prompts_and_verify_asks_for_the_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, new = folder / "task.jsonl", rows(tmp_path, "new", range(6, 12))
    find = ["find", "--model", str(folder / "one"), "--task", str(task), "--budget", "40", "--contexts", "12"]
    find += ["--heldout-masks", "20", "--out", str(tmp_path), "--heldout"]
    assert main([*find, str(new)]) == 0
    assert "found on 2 of the 6 held-out prompts of 'new'" in capsys.readouterr().err
    circuit = Circuit.load(tmp_path / "circuit.json")
    assert (circuit.task["n_prompts"], circuit.run["heldout"]["n_prompts"]) == (8, 4)
    assert circuit.verification is not None
    assert circuit.verification.n_prompts == 4
    verify = ["verify", str(tmp_path / "circuit.json"), "--random", "1"]
    assert main([*verify, "--task", str(task)]) == 1
    assert "none is held out; give others with --heldout FILE (find verified it on 'new')" in capsys.readouterr().err
    assert main([*verify, "--heldout", str(new), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert report["n_prompts"] == 4
    assert circuit.verification.faithfulness == pytest.approx(report["kept"]["value"])
    assert main([*find, str(task)]) == 1
    assert "found on all 8 held-out prompts of 'task'" in capsys.readouterr().err
    assert main([*find, "20", "--json"]) == 0  # as the option was
    assert "--heldout MASKS is now --heldout-masks MASKS" in capsys.readouterr().err


def test_verify_of_a_component_that_the_model_lacks(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = Circuit.load(folder / "out" / "circuit.json").nodes[0].name
    lacked = name.partition("H")[0] + "H99"
    for file in ("circuit.json", "interactions.json"):
        (tmp_path / file).write_text((folder / "out" / file).read_text().replace(name, lacked))
    command = ["verify", str(tmp_path / "circuit.json"), "--task", str(folder / "task.jsonl")]
    assert main(command) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert lacked in error
    assert main([*command, "--interactions", str(folder / "out" / "interactions.json")]) == 1
    assert lacked in capsys.readouterr().err


def test_compare_writes_everything_and_it_reads_back(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(compare(folder, "--out", str(tmp_path))) == 0
    out = capsys.readouterr().out
    assert "comparison.html" in out
    found = Comparison.load(tmp_path / "comparison.json")
    assert not found.identical
    assert found.found
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"comparison.json", "comparison.html", "comparison.csv", "comparison.svg", "comparison.png"}
    assert main(compare(folder, "--json")) == 0
    assert json.loads(capsys.readouterr().out)["comparison"]["identical"] is False


@pytest.mark.parametrize("how", [("--device", "cpu"), ("--dtype", "float64")])
def test_compare_loads_as_it_is_told(folder: Path, tmp_path: Path, how: tuple[str, str]) -> None:
    few = ["--budget", "8", "--heldout-masks", "8", "--contexts", "2", "--components", "L0.heads"]
    assert main([*compare(folder, *few, *how, "--out", str(tmp_path))]) == 0
    assert Comparison.load(tmp_path / "comparison.json").run["n_components"] == 4


def test_compare_says_identical(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(compare(folder, other="one")) == 0
    assert "identical" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("count", [1, 3])
def test_compare_needs_two_models(folder: Path, capsys: pytest.CaptureFixture[str], count: int) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *["--model", str(folder / "one")] * count, "--task", "ioi"])
    assert stopped.value.code == 2
    assert f"two models are needed, --model A --model B, not {count}" in capsys.readouterr().err


def test_compare_refuses_another_architecture(
    folder: Path, tiny: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.hf_model("gpt2").save_pretrained(tmp_path / "other")
    tiny.tokenizer.save_pretrained(tmp_path / "other")
    command = compare(folder)
    command[4] = str(tmp_path / "other")
    assert main(command) == 1
    assert "can't be compared component by component" in capsys.readouterr().err


def test_a_circuit_reads_back_with_what_was_measured(folder: Path) -> None:
    circuit = Circuit.load(folder / "out" / "circuit.json")
    assert circuit.nodes
    for edge in circuit.interactions:
        assert len(edge.table) == 2**edge.order
        assert edge.q is not None
    for node in circuit.nodes:
        assert len(node.per_prompt) == circuit.task["n_prompts"]
