"""The documents say what is there: links, paths and names resolve, and the recipes in CONTRIBUTING.md work."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from site_pages import made

import circuitspex as cx
from circuitspex.ablation import BASELINES
from circuitspex.circuits import Faithfulness, Node, formats
from circuitspex.components import KINDS
from circuitspex.recovery import DECODERS
from circuitspex.registry import Table
from circuitspex.tasks import METRICS, TASKS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "circuitspex"
ARCHITECTURE, CONTRIBUTING = ROOT / "docs/development/architecture.md", ROOT / "CONTRIBUTING.md"
PAGES = [ROOT / "README.md", CONTRIBUTING, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TABLES: list[Table[Any]] = [KINDS, BASELINES, DECODERS, formats.FORMATS, TASKS, METRICS]
# Files that a reader of the recipes makes, and what only looks like a file.
MADE = {
    "my_package.py",
    "circuitspex/recovery/decoders/mean_effects.py",
    "circuitspex/export/graphs/names.py",
    "circuitspex/tasks/_opposites.py",
    "runs/ioi/circuit.json",
    "_name.py",
}

MADE_PAGES = {(ROOT / "docs" / path).resolve() for path in made.pages(ROOT)}
"""Pages that the site has and no file: its strict build looks at links to these."""

each_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if file in MADE_PAGES:
            continue
        assert file.exists(), target
        assert ROOT in file.parents, target
        assert not anchor or anchor in anchors(file), target


@each_page
def test_names_of_the_package_exist(page: Path) -> None:
    groups = {table.group for table in TABLES}
    text = text_of(page) if page.name != "CHANGELOG.md" else ""  # which has names of before
    for name in sorted(set(re.findall(r"\bcircuitspex(?:\.[A-Za-z_]\w*)+", text)) - groups):
        if name.endswith((".py", ".git", ".md")):
            continue
        assert resolves(name), name
    for name in set(re.findall(r"\bcx((?:\.[A-Za-z_]\w*)+)", text)):
        assert resolves(f"circuitspex{name}") or name == ".tasks.opposites", name  # which a recipe adds


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    first, *rest = name.split(".")
    found: Any = importlib.import_module(first)
    for i, part in enumerate(rest):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(".".join([first, *rest[: i + 1]]))
            except ModuleNotFoundError:
                return False
    return True


def paths_in(page: Path) -> Iterator[str]:
    for word in re.findall(r"`([^`\n ]+)`", prose(page)):
        if re.fullmatch(r"(?!Circuit\.|Comparison\.)[\w.-]+(/[\w.-]+)*(/|\.(py|pyi|md|toml|html|json|yaml))", word):
            yield word


@each_page
def test_paths_exist(page: Path) -> None:
    in_full = page in (ARCHITECTURE, CONTRIBUTING)
    for path in paths_in(page):
        if path in MADE or not (in_full or path.startswith(("circuitspex/", "tests/", "tools/", "docs/"))):
            continue
        places = [ROOT, PACKAGE, PACKAGE / "export"]
        assert any((place / path).exists() for place in places), path


def test_every_folder_and_root_module_has_its_sentence() -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", text_of(ARCHITECTURE), re.MULTILINE))
    folders = {f"{path.relative_to(PACKAGE)}/" for path in PACKAGE.rglob("*") if path.is_dir()}
    folders = {folder for folder in folders if "__pycache__" not in folder}
    modules = {path.name for path in PACKAGE.glob("*.py")}
    assert set(rows) == folders | modules
    assert all(sentence.endswith(".") for sentence in rows.values())


def path_of_the_page() -> list[str]:
    listed = text_of(ARCHITECTURE).split("## From the call to the page", 1)[1]
    return re.findall(r"^\d+\. `([^`]+)`", listed, re.MULTILINE)


@pytest.mark.filterwarnings("ignore")
def test_the_files_from_the_call_to_the_page_take_part(tiny: Any, tmp_path: Path) -> None:
    """Functions of each of them run, on a circuit that has components and an interaction across layers."""
    ran: set[CodeType] = set()

    def look(frame: FrameType, event: str, arg: object) -> None:
        ran.add(frame.f_code)  # and no line of it is looked at

    model = tiny.bridge("llama", seed=2)
    task = tiny.task(model, (5,) * 16)
    asked = {"budget": 100, "n_heldout": 20, "n_contexts": 48, "progress": False}
    before = sys.gettrace()
    sys.settrace(look)
    try:
        found = cx.find_circuit(model, task, components="heads+mlps", **asked)
        page = found.circuit.to_html(tmp_path / "circuit.html")
    finally:
        sys.settrace(before)
    assert page.stat().st_size > 0
    assert found.circuit.interactions
    assert found.circuit.interactions[0].direction is not None
    assert found.circuit.verification is not None
    files = {Path(code.co_filename) for code in ran}
    listed = path_of_the_page()
    assert len(listed) == len(set(listed)) <= 38
    # The face of export names the writers when it is imported; no function of it runs later.
    assert [file for file in listed if PACKAGE / file not in files] in ([], ["export/__init__.py"])


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The package that CONTRIBUTING.md describes, installed: its code, and its entry points."""
    blocks = dict.fromkeys(("toml", "python"), "")
    for language, block in re.findall(r"^```(toml|python)\n(.*?)^```", text_of(CONTRIBUTING), re.MULTILINE | re.DOTALL):
        blocks[language] += block
    (tmp_path / "my_package.py").write_text(blocks["python"], encoding="utf-8")
    groups = tomllib.loads(blocks["toml"])["project"]["entry-points"]
    about = tmp_path / "my_package-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 0.1\n")
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {place}\n" for key, place in of.items()) for group, of in groups.items()
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    assert set(groups) == {table.group for table in TABLES}
    formats.names()  # before the entries are put aside, so that our own are among them
    monkeypatch.syspath_prepend(str(tmp_path))
    for table in TABLES:
        monkeypatch.setattr(table, "_entries", dict(table._entries))
        monkeypatch.setattr(table, "_others", None)
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    return importlib.import_module("my_package")


@pytest.mark.filterwarnings("ignore")
def test_the_recipes_work(mine: ModuleType, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mine, "PAIRS", [(f"w{i}", f"w{i + 30}") for i in range(8)])  # words of the tiny tokenizer
    model = tiny.bridge("llama")
    task = cx.tasks.build("opposites", model, n_prompts=8, metric="margin")
    asked = {"budget": 30, "n_heldout": 12, "n_contexts": 3, "progress": False}
    found = cx.find_circuit(model, task, "attn_norms+heads", "counterfactual-mean", method="mean_effects", **asked)
    run = found.circuit.run
    assert (run["components"], run["baseline"], run["method"]) == (
        "attn_norms+heads",
        "counterfactual-mean",
        "mean_effects",
    )
    assert (found.circuit.task["name"], found.circuit.task["metric"]) == ("opposites", "margin")

    game = cx.ComponentGame(model, task, "attn_norms+heads", "counterfactual-mean")
    assert {"L0An", "L2An", "L1H3"} <= set(game.names)
    whole = game.evaluate(np.ones((1, game.n_players), dtype=bool), progress=False).per_prompt[0]
    last = model(task.tokens)[:, -1].detach().numpy().astype(np.float64)
    for row, logits in enumerate(last):
        answer = int(task.answers[row])
        assert whole[row] == pytest.approx(logits[answer] - np.delete(logits, answer).max(), abs=1e-4)

    signs = 2.0 * cx.sample_masks(5, 200, seed=0) - 1
    decoded = cx.decode(signs > 0, 3 * signs[:, 2] + 1, method="mean_effects")
    assert decoded.effect(2) == pytest.approx(6, rel=0.1)
    assert abs(decoded.effect(0)) < 1

    nodes = (Node("L1An", 1, "attn_norm", 0.5), Node("L0H1", 0, "head", 1.0))
    circuit = cx.Circuit(nodes, (), Faithfulness(0.9, 0.8, 1.0, 20))
    written = circuit.export("names", tmp_path / f"circuit.{formats.ending('Circuit', 'names')}")
    assert written.read_text().split() == [node.name for node in circuit.nodes]


def test_the_readme_is_two_screens() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= 110


def test_the_citation_is_complete() -> None:
    cited = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license"} <= set(cited)
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    released = re.findall(r"^## (\d+\.\d+\.\d+)", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert (cited["version"], cited["license"]) == (released[0], project["license"])
    assert {reference["url"].rpartition("/")[2] for reference in cited["references"]} == {"2502.13870", "2505.17495"}
    assert all({"type", "title", "authors"} <= set(reference) for reference in cited["references"])


def test_the_forms_and_hooks_are_sound() -> None:
    for form in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")):
        asked = yaml.safe_load(text_of(form))
        assert {"name", "description", "body"} <= set(asked)
        ids = [part["id"] for part in asked["body"]]
        assert len(ids) == len(set(ids))
        assert all(part["attributes"]["label"] for part in asked["body"])
    hooks = yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))["repos"]
    assert {hook["id"] for repo in hooks for hook in repo["hooks"]} == {
        "ruff-check",
        "ruff-format",
        "mypy",
        "lint-imports",
    }
