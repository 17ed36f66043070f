"""``circuitspex verify --protocol mib``, as a user calls it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from circuitspex.cli.main import main


@pytest.fixture(scope="module")
def folder(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a task file, and circuits of all nodes, of heads alone, and under the mean."""
    folder = tmp_path_factory.mktemp("user")
    tiny.hf_model("llama").save_pretrained(folder / "one")
    tiny.tokenizer.save_pretrained(folder / "one")
    rows = [
        {
            "prompt": f"w1 w{i} w3 w4",
            "counterfactual": f"w2 w{i + 9} w5 w6",
            "answer": " w50",
            "wrong_answer": " w51",
        }
        for i in range(12)
    ]
    (folder / "task.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    find = ["find", "--model", str(folder / "one"), "--task", str(folder / "task.jsonl")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, components, baseline, budget in (
            ("nodes", "heads+mlps", "resample", 40),
            ("edges", "edges", "resample", 40),
            ("heads", "heads", "resample", 12),  # these three are refused, whatever was found
            ("mean", "heads+mlps", "mean", 12),
            ("some", "edges->logits", "resample", 12),
        ):
            options = ["--components", components, "--baseline", baseline, "--budget", str(budget), "--contexts", "4"]
            assert main([*find, *options, "--heldout", "8", "--out", str(folder / name)]) == 0
    return folder


def verify(folder: Path, name: str, *more: str) -> list[str]:
    circuit = str(folder / name / "circuit.json")
    return ["verify", circuit, "--protocol", "mib", "--task", str(folder / "task.jsonl"), *more]


def test_it_writes_and_prints_the_report(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(verify(folder, "nodes", "--steps", "2", "--out", str(tmp_path))) == 0
    out = capsys.readouterr().out
    for said in ("MIB's protocol over 15 nodes", "0.1 %", "CPR", "CMD", "(by rounds) over NAP-IG inputs", "|RelP|"):
        assert said in out
    assert {path.name for path in tmp_path.iterdir()} == {"mib.json", "mib.txt", "mib.png", "mib.svg"}
    assert main(verify(folder, "nodes", "--steps", "2", "--out", str(tmp_path), "--json")) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert report["n_prompts"] == 3  # a quarter of the file, as in find
    assert report["passes"]["NAP-IG inputs"] == 2
    assert set(report["curves"]["chosen (by rounds)"]["cpr"]) == {"value", "low", "high"}
    assert {"matched (by rounds)", "chosen (decoded)", "matched (decoded)"} <= set(report["curves"])
    assert report["passes"]["chosen (by rounds)"] >= 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mean", "with --baseline resample"),
        ("heads", "12 of 15; take 'heads+mlps'"),
        ("some", "among edges->logits; MIB's protocol is of all"),
    ],
)
def test_a_circuit_without_what_it_needs_is_one_line(
    folder: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(verify(folder, name)) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_circuits_of_edges_are_scored_at_every_size(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(verify(folder, "edges", "--steps", "2", "--out", str(tmp_path), "--json")) == 0
    report = json.loads(capsys.readouterr().out)["report"]
    assert (report["level"], report["n_players"]) == ("edges", 190)
    assert {"chosen", "matched", "EAP", "|EAP-IG inputs|", "RelP"} <= set(report["curves"])
    found = json.loads((folder / "edges" / "circuit.json").read_text())["run"]["edges"]
    assert report["passes"]["chosen"] == found["gradient_passes"]
    assert report["passes"]["EAP-IG inputs"] == 2
    assert report["curves"]["chosen"]["values"][-1]["value"] == pytest.approx(1, abs=1e-3)
