"""Every block of Python and every command of the docs and README is run, or says what it needs that is not there.

Which is looked at quickly here; ``make docs-blocks`` runs them on SmolLM2-135M, or with ``DOCS_MODEL=miniature`` those
that need no circuit on a narrow model of as many layers and heads with random weights.
"""

from __future__ import annotations

import ast
import builtins
import os
import re
import traceback
from pathlib import Path
from typing import Any

import pytest
from blocks import NEEDS, PAGES, PROGRAMS, ROOT, SHOWN, Block, blocks
from given import FILES, VALUES, Given, miniature

from circuitspex.cli.main import build_parser, main

REAL, LONG = os.environ.get("DOCS_MODEL") != "miniature", os.environ.get("DOCS_LONG") == "1"
A_CIRCUIT = {"found", "circuit", "runs/ioi", "ioi.graphml"}
"""Given, they need a circuit with components, which no search finds in random weights."""
ALL = {page: blocks(page) for page in PAGES}
each_page = pytest.mark.parametrize("page", [p for p in PAGES if ALL[p]], ids=lambda page: str(page.relative_to(ROOT)))


def runs(block: Block) -> bool:
    """Whether it is run: code, or commands of ours, that need nothing which is not there."""
    lacking = block.needs - ({"weights"} if REAL else set()) - ({"long"} if LONG else set())
    if not REAL and set(block.given) & A_CIRCUIT:
        return False
    return not lacking and (block.language == "python" or any(words[0] == "circuitspex" for words in block.commands))


@each_page
def test_blocks_are_run_or_say_why_not(page: Path) -> None:
    for block in ALL[page]:
        assert block.language in {"python", "bash", *SHOWN}, f"{block}: say its language, one that is run or {SHOWN}"
        assert {kind for kind, _ in block.marks} <= {"needs", "given"}, block
        assert block.needs <= set(NEEDS), block
        assert set(block.given) <= {*VALUES, *FILES}, block
        if block.language == "python":
            ast.parse(block.text)
        elif block.language in SHOWN:
            assert not re.search(r"\bcx\.|^\$? ?circuitspex ", block.text, re.MULTILINE), f"{block}: say its language"


@each_page
def test_names_that_blocks_use_come_from_their_page(page: Path) -> None:
    """Each is made by this block or an earlier one, or said to be given; else a reader can't run the page."""
    known = set(dir(builtins))
    for block in ALL[page]:
        if block.language != "python" or "yours" in block.needs:
            continue
        tree = ast.parse(block.text)
        known |= {*block.given, *made_in(tree), *(["cx"] if block.given else [])}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assert used - known == set(), block


def made_in(tree: ast.AST) -> set[str]:
    """The names that code gives something to: by assigning, importing, defining, and as parameters."""
    made: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                made.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                made.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                made |= {(each.asname or each.name).split(".")[0] for each in names}
    return made


def test_blocks_outside_of_fences_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Text\n\n    circuitspex info\n\n<!-- needs: gpu, hub -->\n\n```python\nx = 1\n```\n\n1. an item\n\n"
        "    <!-- given: model -->\n\n    ```bash\n    circuitspex find --model x \\\n      --task y  # why\n    ```\n"
    )
    first, second, third = blocks(page)
    assert (first.line, first.commands, first.needs) == (3, [["circuitspex", "info"]], set())
    assert (second.line, second.language, second.text, second.needs) == (8, "python", "x = 1", {"gpu", "hub"})
    assert third.commands == [["circuitspex", "find", "--model", "x", "--task", "y"]]
    assert third.given == ["model"]


@each_page
def test_commands_are_spelled_right(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of ours every option exists and is given what it takes; of others, the target or the script exists."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in ALL[page]:
        for words in block.commands:
            words = [word for word in words if not re.fullmatch(r"[A-Z_]+=.*", word)]
            if words[0] == "circuitspex":
                try:
                    _, unknown = build_parser().parse_known_args(words[1:])
                except SystemExit as ended:
                    if ended.code != 0:
                        pytest.fail(f"{block}: {capsys.readouterr().err}")
                else:
                    assert unknown == [], block
            elif words[0] == "make":
                assert set(words[1:]) <= targets, block
            elif words[0] == "python" and words[1] != "-m":
                assert (ROOT / words[1]).is_file(), block
            else:
                assert words[0] in {*PROGRAMS, "for", "done"} or block.needs, block


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return Given(tmp_path_factory.mktemp("given"))


@pytest.mark.blocks
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore")
@each_page
def test_blocks_run(page: Path, given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not REAL:
        miniature(given.folder / "cache")
        monkeypatch.setenv("CIRCUITSPEX_CACHE", str(given.folder / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIRCUITSPEX_STORE", str(tmp_path / "store.sqlite"))
    names: dict[str, Any] = {"__name__": "docs"}
    for block in ALL[page]:
        if not runs(block):
            continue
        for name in block.given:
            given.put(name, names, tmp_path)
        try:
            if block.language == "python":
                # At its own line, so that a traceback shows where on the page it is.
                exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
            for words in block.commands:
                if words[0] == "circuitspex":
                    assert main(words[1:]) == 0, words
        except (Exception, SystemExit):  # a block or command that ends the process has failed too
            pytest.fail(f"{block}\n{traceback.format_exc(limit=-3)}", pytrace=False)
