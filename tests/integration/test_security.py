"""What docs/security.md says: nothing is unpickled, no code of a model is run, and where files and requests go."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "circuitspex"
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "pickle.load",
    "pickle.loads",
    "pickle.Unpickler",
    "cloudpickle.load",
    "cloudpickle.loads",
    "marshal.loads",
    "shelve.open",
    "joblib.load",
    "numpy.load",
    "np.load",
    "torch.load",
    "torch.hub.load",
    "os.system",
    "os.popen",
    "yaml.load",
}
READERS = {"from_pretrained", "from_config", "boot_transformers"}
STARTS_PROCESSES = {"models/catalogue.py"}
"""Which files start a program: pip, to download a model of the catalogue."""


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """The file, the dotted name and the node of every call in the package."""
    return [
        (path.relative_to(PACKAGE).as_posix(), ast.unparse(node.func), node)
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def test_nothing_in_the_package_unpickles_or_evaluates_text() -> None:
    found = [f"{file}: {name}" for file, name, _ in calls() if name in FORBIDDEN]
    assert found == []
    assert {file for file, name, _ in calls() if name.startswith("subprocess.")} == STARTS_PROCESSES


def test_whatever_reads_a_model_says_that_its_code_is_not_to_be_run() -> None:
    readers = [(file, name, node) for file, name, node in calls() if name.rpartition(".")[2] in READERS]
    assert len(readers) >= 5
    for file, name, node in readers:
        if name.startswith("PeftModel."):  # reads a folder of safetensors; it takes no code
            continue
        said = {each.arg: ast.unparse(each.value) for each in node.keywords}
        assert said.get("trust_remote_code") == "False", f"{file}:{node.lineno} {name}"


WATCHED = """
import json, os, sys

seen = {"written": [], "connected": [], "unpickled": [], "started": []}
KINDS = {"socket.connect": "connected", "pickle.find_class": "unpickled", "subprocess.Popen": "started",
         "os.system": "started", "os.posix_spawn": "started", "os.exec": "started"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def watch(event, given):
    if event == "open" and isinstance(given[0], (str, bytes, os.PathLike)) and isinstance(given[2], int):
        if given[2] & WRITES:
            seen["written"].append(os.path.abspath(os.fsdecode(given[0])))
    elif event == "sqlite3.connect":
        seen["written"].append(os.path.abspath(os.fsdecode(given[0])))
    elif event in KINDS:
        seen[KINDS[event]].append(repr(given)[:200])

sys.addaudithook(watch)
from circuitspex.cli.main import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump({**seen, "code": code}, file)
"""


@pytest.fixture(scope="module")
def seen(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What ``circuitspex find`` on a folder opened to write, connected to, unpickled and started."""
    folder = tmp_path_factory.mktemp("watched")
    tiny.hf_model("llama").save_pretrained(folder / "model")
    tiny.tokenizer.save_pretrained(folder / "model")
    tiny.task(tiny.bridge("llama"), (5, 5, 5, 5)).to_jsonl(folder / "task.jsonl")
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    own = {name: value for name, value in os.environ.items() if not name.startswith(("CIRCUITSPEX_", "HF_", "XDG_"))}
    own |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary"), "PYTHONDONTWRITEBYTECODE": "1"}
    own |= {"CIRCUITSPEX_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    asked = ["find", "--model", folder / "model", "--task", folder / "task.jsonl", "--components", "heads"]
    asked += ["--budget", 20, "--heldout-masks", 20, "--contexts", 4, "--out", folder / "out"]
    command = [sys.executable, "-c", WATCHED, folder / "seen.json", *asked]
    done = subprocess.run(list(map(str, command)), env=own, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads((folder / "seen.json").read_text())
    assert found["code"] == 0, done.stderr
    return {**found, "folder": str(folder)}


@pytest.mark.long
def test_a_search_on_a_local_model_unpickles_nothing(seen: dict[str, object]) -> None:
    assert seen["unpickled"] == []


def test_a_search_on_a_local_model_asks_no_network(seen: dict[str, object]) -> None:
    assert seen["connected"] == []


def test_a_search_starts_no_program_with_what_it_reads(seen: dict[str, object]) -> None:
    assert not [said for said in seen["started"] if "task.jsonl" in said or "/model" in said]  # type: ignore[attr-defined]


def test_a_search_writes_to_its_own_places_only(seen: dict[str, object]) -> None:
    folder = Path(str(seen["folder"]))
    allowed = [folder / name for name in ("out", "cache", "temporary", "home")]
    written = {Path(each) for each in seen["written"]} - {folder / "seen.json"}  # type: ignore[attr-defined]
    assert {folder / "out" / "circuit.json", folder / "cache" / "runs.sqlite"} <= {
        *written,
        *(folder / "out").iterdir(),
    }
    outside = [each for each in written if not any(each.is_relative_to(place) for place in allowed)]
    assert [each for each in outside if not each.is_relative_to("/dev")] == []
    assert not list((folder / "temporary").rglob("*.safetensors")), "a temporary file was left behind"


def test_the_tests_that_the_page_names_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert len(set(named)) >= 8
    assert [name for name in named if not (ROOT / name).is_file()] == []
