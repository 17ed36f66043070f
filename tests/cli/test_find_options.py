"""``circuitspex find --keep`` and ``--until``: what is read, what is refused, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from circuitspex.cli.main import build_parser, main
from circuitspex.recovery import DECODERS
from circuitspex.tasks import METRICS, TASKS


def options(*more: str) -> Any:
    return build_parser().parse_args(["find", "--model", "m", "--task", "ioi", *more])


def test_shares_are_read() -> None:
    assert options().keep == 0.5
    assert options().until is None
    assert options("--keep", "0.8").keep == 0.8
    assert options("--keep", "0.3:0.9").keep == (0.3, 0.9)
    assert options("--keep", "auto").keep == "auto"
    assert options("--until", "0.95").until == 0.95


def test_a_comparison_mixes_shares_too_but_has_no_pilot(capsys: pytest.CaptureFixture[str]) -> None:
    def kept(given: str) -> Any:
        two = ["--model", "m", "--model", "n", "--task", "ioi"]
        return build_parser().parse_args(["compare", *two, "--keep", given]).keep

    assert kept("0.8") == 0.8
    assert kept("0.3:0.9") == (0.3, 0.9)
    with pytest.raises(SystemExit):
        kept("auto")
    assert "'auto' is not a number (allowed: 0.5, or a range 0.3:0.9)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--keep", "1"), "must lie between 0 and 1 and be neither, not 1 (allowed: 0.5, a range 0.3:0.9, or auto)"),
        (("--keep", "some"), "'some' is not a number (allowed: 0.5, a range 0.3:0.9, or auto)"),
        (("--keep", "0.9:0.3"), "a range LOW:HIGH needs 0 < LOW < HIGH < 1, not 0.9:0.3"),
        (("--keep", "0:0.3"), "0 < LOW < HIGH < 1"),
        (("--keep", "0.1:0.2:0.3"), "'0.1:0.2:0.3' is not a range LOW:HIGH such as 0.3:0.9"),
        (("--keep", "0.1:"), "is not a range"),
        (("--refine", "layers"), "'layers' is not a whole number"),
        (("--levels", "layers"), "'layers' is not two or more levels (such as layers,heads+mlps,neurons)"),
        (("--until", "95"), "must lie between 0 and 1 and be neither, not 95"),
    ],
)
def test_wrong_values_are_named(more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        options(*more)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_rounds_and_levels_are_read() -> None:
    assert options().refine == 0
    assert options("--refine", "2").refine == 2
    assert options().levels is None
    assert options("--levels", "layers, heads+mlps,neurons").levels == ["layers", "heads+mlps", "neurons"]


def test_levels_take_the_place_of_components(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "--model", "m", "--task", "ioi", "--components", "heads", "--levels", "layers,heads"]) == 1
    assert "--levels and --components can't be combined" in capsys.readouterr().err
    assert main(["find", "--model", "m", "--task", "ioi", "--components", "heads", "--refine", "layers,heads"]) == 1
    assert "warning: --refine LEVELS is now --levels LEVELS" in capsys.readouterr().err


@pytest.fixture(scope="module")
def command(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder: Path = tmp_path_factory.mktemp("options")
    tiny.hf_model("phi3").save_pretrained(folder / "model")
    tiny.tokenizer.save_pretrained(folder / "model")
    rows = [
        {
            "prompt": f"w1 w{i} w3 w4",
            "counterfactual": f"w2 w{i + 9} w5 w6",
            "answer": " w50",
            "wrong_answer": f" w{51 + i}",
        }
        for i in range(4)
    ]
    (folder / "task.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    find = ["find", "--model", str(folder / "model"), "--task", str(folder / "task.jsonl")]
    return [*find, "--budget", "40", "--heldout-masks", "20", "--contexts", "3", "--keep", "auto", "--until", "0.999"]


def test_the_pilot_and_the_curve_are_printed_and_in_the_file(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "main effects  verdict" in printed.out
    assert "learning curve\n  20 ablations: R² " in printed.out
    assert "  40 ablations: R² " in printed.out
    assert "warning: --until 0.999 was not reached" in printed.err
    run = json.loads((tmp_path / "out" / "circuit.json").read_text())["run"]
    assert run["until"] == 0.999
    assert [stage["n_ablations"] for stage in run["learning_curve"]] == [20, 40]
    assert run["keep_chosen"]["reason"].startswith(f"keep {run['keep']:g}")


@pytest.mark.long
def test_levels_are_printed_and_levels_that_do_not_nest_are_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [*command[:5], "--budget", "12", "--heldout-masks", "8", "--contexts", "2"]
    assert main([*few, "--levels", "layers,heads+mlps,neurons:16", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "coarse to fine\n  layers: 3 components" in out
    assert "; expanded L" in out
    assert (tmp_path / "circuit.svg").exists()
    assert json.loads((tmp_path / "circuit.json").read_text())["run"]["levels"][2]["components"] == "neurons:16"
    grouped = json.loads((tmp_path / "circuit.json").read_text())
    grouped["run"]["lens"] = "groups"
    (tmp_path / "circuit.json").write_text(json.dumps(grouped))
    assert main(["verify", str(tmp_path / "circuit.json")]) == 1
    assert "no circuit of parts or edges" in capsys.readouterr().err
    assert main([*few, "--levels", "mlps,heads"]) == 1
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("circuitspex: levels must nest: L0H0 of 'heads'")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--task", "chess"), "unknown task 'chess'; known: ioi, greater_than"),
        (("--task", "gone.jsonl"), "can't read task file gone.jsonl: there is no such file"),
        (("--task", "ioi", "--metric", "joy"), "unknown metric 'joy'; known: logit_diff, answer_logprob"),
    ],
)
@pytest.mark.parametrize("verb", ["find", "compare"])
def test_wrong_names_are_refused_before_a_model_is_loaded(
    verb: str, more: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--model", "no-such-model"] * (2 if verb == "compare" else 1)
    assert main([verb, *models, *more]) == 1
    assert capsys.readouterr().err.startswith(f"circuitspex: {message}")


def test_compare_takes_no_decoder_of_its_own_masks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--model", "a", "--model", "b", "--task", "ioi", "--method", "spex"])
    assert stop.value.code == 2
    assert "--method spex runs masks of its own" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["find", "compare", "explain", "tokens"])
def test_help_lists_what_is_in_the_tables(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"decoder: {', '.join(DECODERS)}" in said
    assert (f"what is measured: {', '.join(METRICS)}" in said) == (verb != "explain")
    assert (f"{', '.join(TASKS)}, a .jsonl file" in said) == (verb in ("find", "compare"))
