"""What another package adds through its entry points: used from Python and from the command line, and refused.

``extra_package`` is a package with one of each; it is built and installed into a folder of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import circuitspex
import circuitspex.export
from circuitspex.ablation.baselines import BASELINES
from circuitspex.circuits.formats import FORMATS
from circuitspex.components import KINDS
from circuitspex.errors import TaskError, UserError
from circuitspex.recovery import DECODERS
from circuitspex.registry import Table
from circuitspex.tasks import METRICS, TASKS

TABLES: dict[str, Table[Any]] = {
    "components": KINDS,
    "baselines": BASELINES,
    "decoders": DECODERS,
    "metrics": METRICS,
    "tasks": TASKS,
    "formats": FORMATS,
}
HERE = Path(__file__).parent
ROOT = Path(circuitspex.__file__).parent.parent

FROM_PYTHON = """
import json, sys
import numpy as np
import circuitspex as cx
from circuitspex.ablation.baselines import BASELINES
from circuitspex.circuits import formats
from circuitspex.components import KINDS
from circuitspex.recovery import DECODERS
from circuitspex.tasks import METRICS, TASKS

folder = sys.argv[1]
masks = cx.sample_masks(6, 60, seed=0)
signs = 2.0 * masks - 1
decoded = cx.decode(masks, 2 * signs[:, 1] - signs[:, 4] + 5, method="mean-effects")
model = cx.load_model(f"{folder}/model")
task = cx.tasks.build("words", model, n_prompts=3, metric="subject_and_end")
game = cx.ComponentGame(model, task, "heads", "zero")
norms = [cx.ComponentGame(model, task, "norms+heads", baseline) for baseline in ("zero", "nothing")]
some = cx.sample_masks(norms[0].n_players, 8, seed=1)
tokens = task.tokens
logits = model(tokens)
answer = int(task.answers[0])
print(json.dumps({
    "effects": [decoded.effect(i) for i in range(6)],
    "method": decoded.method,
    "names": [list(table) for table in (KINDS, BASELINES, DECODERS, METRICS, TASKS)],
    "norms": [name for name in norms[0].names if "Ln" in name],
    "values": [game(some).tolist() for game in norms],
    "formats": formats.names("Circuit"),
    "value": float(game(np.ones((1, game.n_players), dtype=bool))[0]),
    "expected": float((logits[:, -1, answer] - logits[:, 0, answer]).mean()),
}))
"""


def run(*command: str, path: Path) -> subprocess.CompletedProcess[str]:
    """A command of Python's, with what is installed in ``path``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the package was installed."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("pyproject.toml", "circuitspex_extra.py"):
        (source / name).write_bytes((HERE / "extra_package" / name).read_bytes())
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    made = run("-m", "pip", "install", *options, str(source), path=target)
    assert made.returncode == 0, made.stderr
    return target


@pytest.fixture(scope="module")
def folder(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, as a user has one."""
    folder = tmp_path_factory.mktemp("user")
    tiny.hf_model("phi3").save_pretrained(folder / "model")
    tiny.tokenizer.save_pretrained(folder / "model")
    return folder


@pytest.mark.long
def test_each_is_used_from_python(installed: Path, folder: Path) -> None:
    done = run("-c", FROM_PYTHON, str(folder), path=installed)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["method"] == "mean-effects"
    assert found["effects"][1] > 1.5
    assert found["effects"][4] < -0.5
    assert found["value"] == pytest.approx(found["expected"], abs=1e-4)
    assert [names[-1] for names in found["names"]] == ["norm", "nothing", "mean-effects", "subject_and_end", "words"]
    assert found["norms"] == ["L0Ln", "L1Ln", "L2Ln"]
    assert found["values"][0] == found["values"][1]
    assert len(set(found["values"][0])) > 1
    assert "names" in found["formats"]


def test_each_is_used_from_the_command_line(installed: Path, folder: Path) -> None:
    find = ["-m", "circuitspex", "find", "--model", str(folder / "model"), "--task", "words", "--prompts", "8"]
    what = ["--components", "norms+heads", "--baseline", "nothing", "--metric", "subject_and_end"]
    more = [*what, "--method", "mean-effects", "--budget", "24", "--heldout-masks", "12"]
    out = ["--contexts", "2", "--store", "off", "--out", str(folder / "out")]
    done = run(*find, *more, *out, path=installed)
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / "out" / "circuit.json").read_text())
    assert (record["run"]["method"], record["task"]["name"]) == ("mean-effects", "words")
    assert record["task"]["metric"] == "subject_and_end"
    assert (record["run"]["components"], record["run"]["baseline"]) == ("norms+heads", "nothing")


def test_a_format_is_used_from_the_command_line(installed: Path, tmp_path: Path) -> None:
    circuit = tmp_path / "circuit.json"
    circuit.write_bytes((HERE.parent / "fixtures" / "formats" / "circuit.json").read_bytes())
    done = run("-m", "circuitspex", "export", str(circuit), "--to", "names", path=installed)
    assert done.returncode == 0, done.stderr
    listed = (tmp_path / "circuit.names.txt").read_text().split()
    assert listed == [node["name"] for node in json.loads(circuit.read_text())["nodes"]]
    assert listed


def test_help_names_them(installed: Path) -> None:
    said = " ".join(run("-m", "circuitspex", "find", "--help", path=installed).stdout.split())
    for name in ("nothing", "mean-effects", "subject_and_end", "words"):
        assert name in said
    said = " ".join(run("-m", "circuitspex", "export", "--help", path=installed).stdout.split())
    assert "names, neuronpedia" in said


ENTRIES = """
[circuitspex.decoders]
gone = torn_parts_that_are_not_there:DECODER
linear = torn_parts:NUMBER
[circuitspex.components]
gone = torn_parts:NUMBER
[circuitspex.baselines]
gone = torn_parts:NUMBER
[circuitspex.metrics]
gone = torn_parts:NOTHING
[circuitspex.tasks]
gone = torn_parts:NUMBER
[circuitspex.formats]
Circuit.gone = torn_parts:NUMBER
"""


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """The folder of an installed package that keeps nothing of what its entry points promise."""
    about = tmp_path / "circuitspex_torn-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: circuitspex-torn\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "torn_parts.py").write_text("NUMBER = 3\n")
    return tmp_path


BROKEN = [
    ("decoders", "gone", "method 'gone' of circuitspex-torn can't be loaded: ModuleNotFoundError: No module named"),
    ("metrics", "gone", "metric 'gone' of circuitspex-torn can't be loaded: AttributeError: module 'torn_parts' has"),
    ("components", "gone", "kind of component 'gone' of circuitspex-torn must be a Kind, not a int"),
    ("baselines", "gone", "baseline 'gone' of circuitspex-torn must be a Baseline, not a int"),
    ("tasks", "gone", "task 'gone' of circuitspex-torn must be a NamedTask, not a int"),
    ("formats", "Circuit.gone", "format 'Circuit.gone' of circuitspex-torn must be a Format, not a int"),
]


@pytest.mark.parametrize(("group", "name", "message"), BROKEN, ids=[group for group, _, _ in BROKEN])
def test_a_broken_entry_is_one_line_that_names_its_package(
    group: str, name: str, message: str, torn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(torn))
    ours = TABLES[group]
    table = Table(ours.word, ours.kind, ours.group)  # a table that has not looked yet
    assert name in table
    with pytest.raises(UserError) as caught:
        table[name]
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_no_other_package_takes_a_name_of_ours(torn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(torn))
    linear = DECODERS["linear"]
    table = Table("method", type(linear), "circuitspex.decoders", {"linear": linear})
    assert list(table) == ["linear", "gone"]
    assert table["linear"] is linear


def test_the_command_line_works_beside_a_broken_package_and_says_what_is_broken(torn: Path) -> None:
    for command in (["--help"], ["find", "--help"], ["export", "--help"]):
        done = run("-m", "circuitspex", *command, path=torn)
        assert (done.returncode, done.stderr) == (0, "")
    asked = ["find", "--model", "no-such-model", "--task", "ioi"]  # refused before a model is looked for
    for more, word in (
        (["--method", "gone"], "method"),
        (["--metric", "gone"], "metric"),
        (["--task", "gone"], "task"),
    ):
        done = run("-m", "circuitspex", *asked, *more, path=torn)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith(f"circuitspex: {word} 'gone' of circuitspex-torn ")


def test_an_unknown_name_lists_all_there_are() -> None:
    for table in TABLES.values():
        with pytest.raises(UserError, match=f"unknown {table.word} 'no such'; known: ") as caught:
            table["no such"]
        assert all(name in str(caught.value) for name in table)
    with pytest.raises(TaskError, match=r"or the path of a \.jsonl, \.json or \.csv file"):
        TASKS["no such"]
