"""The first pages can be followed word for word: each leads to the next, and what fails is said."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path

import newcomer
import pytest
from blocks import blocks

ROOT = Path(__file__).parents[2]


def test_each_page_leads_to_the_next() -> None:
    pages = [ROOT / "docs" / page for page in newcomer.PAGES]
    for page, following in pairwise(pages):
        targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        assert following in [(page.parent / target).resolve() for target in targets if "://" not in target], page


def test_every_block_of_the_pages_is_a_step() -> None:
    for page in newcomer.PAGES:
        runnable = [block for block in blocks(ROOT / "docs" / page) if block.language in ("python", "bash")]
        assert runnable
        for block in runnable:
            assert newcomer._why_not(block, newcomer.Asked(quick=False, installs=True)) in (
                "",
                "needs runs/ioi, which an earlier step makes",
            ), block


def test_steps_run_in_one_session_and_folder_and_say_what_failed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    python = Path(sys.executable).name
    page.write_text(
        "# Page\n\n```python\nx = 20\nopen('made.txt', 'w').write('here')\n```\n\n"
        f"```bash\n{python} -c 'print(open(\"made.txt\").read())'\n```\n\n"
        "<!-- needs: long -->\n\n```python\nx = 0\n```\n\n"
        "```python\nassert x == 20\n```\n\n"
        "```python\nraise ValueError('not so')\n```\n\n```python\nnever = True\n```\n"
    )
    folder = tmp_path / "work"
    folder.mkdir()
    steps = newcomer.follow(page, folder, newcomer.Asked(quick=True))
    assert [step.result for step in steps] == [
        "ok",
        "ok",
        "not run: takes minutes; left out by --quick",
        "ok",
        "FAILED: ValueError: not so",
    ]
    assert (folder / "made.txt").read_text() == "here"
    assert all(step.seconds > 0 for step in steps if not step.result.startswith("not run"))
    shown = newcomer.table(steps)
    assert "| page.md:4 | `x = 20` |" in shown
    assert shown.count("\n") == 2 + len(steps)


def test_a_command_that_fails_is_said(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\ncircuitspex verify no/such/circuit.json\n```\n")
    (step,) = newcomer.follow(page, tmp_path, newcomer.Asked())
    assert step.result.startswith("FAILED: exit status ")
    assert "no/such/circuit.json" in step.result


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_pages_can_be_followed_on_a_miniature(tmp_path: Path) -> None:
    assert newcomer.main(["--miniature", "--out", str(tmp_path / "table.md")]) == 0
    assert "FAILED" not in (tmp_path / "table.md").read_text()
