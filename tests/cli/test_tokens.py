"""``circuitspex tokens``: files that are whole, ``--json`` that is JSON, one line for each wrong call."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from circuitspex.circuits import Circuit
from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.cli.main import main
from circuitspex.recovery import Interactions

PROMPT = "w1 w2 w3 w2 w4 w5 w6 w7"
FILES = ("prompt.json", "prompt.html", "prompt.svg", "prompt.png", "circuit.json", "interactions.json")


@pytest.fixture(scope="module")
def model(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tokens") / "model"
    tiny.hf_model("llama").save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


def command(model: Path, *more: str, prompt: str = PROMPT) -> list[str]:
    few = ["--budget", "40", "--heldout-masks", "20", "--contexts", "4"]
    return ["tokens", "--model", str(model), "--prompt", prompt, "--answer", " w9", *few, *more]


@pytest.mark.some(4)
@pytest.mark.parametrize("way", ["token", "mean", "delete", "attention"])
def test_files_are_whole_and_the_table_names_every_word(
    way: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(model, "--wrong-answer", " w10", "--ablate", way, "--out", str(tmp_path))) == 0
    shown = capsys.readouterr().out
    found = PromptMap.load(tmp_path / "prompt.json")
    assert [word.name for word in found.words] == ["w1", "w2", "w3", "w2#2", "w4", "w5", "w6", "w7"]
    assert found.table() in shown
    assert f"ablated by {way}" in shown
    assert all(str(tmp_path / name) in shown and (tmp_path / name).stat().st_size > 100 for name in FILES)
    circuit = Circuit.load(tmp_path / "circuit.json")
    assert (circuit.run["lens"], circuit.run["baseline"]) == ("tokens", way)
    assert circuit == found.circuit
    decoded = Interactions.load(tmp_path / "interactions.json")
    assert decoded.names == tuple(word.name for word in found.words)
    assert {node.name: node.decoded for node in circuit.nodes}.items() <= {
        word.name: word.decoded for word in found.words
    }.items()


def test_json_is_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(model, "--json", "--span", "0:2", "--span", "3:23")) == 0
    data = json.loads(capsys.readouterr().out)
    assert [word["name"] for word in data["prompt"]["words"]] == ["w1", "w2 w3 w2 w4 w5 w6 w7"]
    assert data["prompt"]["circuit"]["task"]["metric"] == "answer_logprob"
    assert data["files"] == []


def test_a_prompt_from_a_file_and_a_part_of_it(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "prompt.txt").write_text("w1 w2.\nw3 w4")
    assert main(command(model, "--part", "w3 w4", "--unit", "words", prompt=f"@{tmp_path / 'prompt.txt'}")) == 0
    assert "2 words" in capsys.readouterr().out


def test_the_store_goes_on_where_it_stopped(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = command(model, "--store", str(tmp_path / "runs.sqlite"))
    assert main(again) == 0
    first = capsys.readouterr().out
    assert main(again) == 0
    second = capsys.readouterr().out
    taken, _, table = second.partition("\n\n")
    assert taken.split()[0] == taken.split()[2]
    assert table == first  # nothing came from the store then: a search runs each mask once
    assert main(["runs", "list", "--store", str(tmp_path / "runs.sqlite")]) == 0
    assert PROMPT in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--prompt", " "), "the prompt is empty"),
        (("--prompt", "@nowhere.txt"), "can't read the prompt from nowhere.txt: there is no such file"),
        (("--span", "0:99"), "--span 0:99 is not within the 23 characters of the prompt"),
        (("--span", "0:4", "--span", "3:8"), "overlap"),
        (("--part", "w40"), "--part 'w40' does not stand in the prompt"),
        (("--answer", ""), "the answer is empty"),
        (("--answer", "elsewhere"), "is not in this tokenizer's vocabulary"),
        (("--ablate", "token", "--token", "mask"), "this tokenizer has no mask token (it has pad and unk)"),
        (("--prompt", "w1 " * 65), "the prompt has 66 tokens, and the model's context holds 64"),
        (("--chat",), "has no chat template"),
        (("--method", "gradspex", "--ablate", "delete"), "has no gradients"),
    ],
)
def test_a_failure_is_one_clear_line(
    more: tuple[str, ...], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(model, *more)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("more", [("--span", "four"), ("--unit", "letters"), ("--budget", "1"), ("--ablate", "zero")])
def test_a_usage_error_is_exit_code_2(more: tuple[str, ...], model: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(command(model, *more))
    assert stop.value.code == 2
