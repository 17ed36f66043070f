"""Follows the first pages of the docs word for word in an empty folder, and says how long each step takes.

    python tools/newcomer.py                  # everything: the front page, installing, a circuit, your own prompts
    python tools/newcomer.py --miniature      # the same on a narrow model of as many layers with random weights
    python tools/newcomer.py --install        # also makes an environment with the command of the page, and uses it

What runs is read from the pages: each command by itself, each block of Python in the session of its page. A step that
fails ends its page, and the exit status is 1. A step that is not run says why: it installs (without --install), takes
minutes (--quick), or needs what was not run or found (random weights have no circuit).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/documents"))

from blocks import Block, blocks  # noqa: E402

PAGES = ("index.md", "start/install.md", "start/first_circuit.md", "start/own_prompts.md")
"""In the order in which their links lead from one to the next."""


@dataclass(frozen=True)
class Step:
    """One command or one block of Python, with what became of it: 'ok', 'FAILED: …' or 'not run: …'."""

    place: str
    text: str
    seconds: float
    result: str


@dataclass(frozen=True)
class Asked:
    """How the pages are followed."""

    quick: bool = False
    miniature: bool = False
    python: str = sys.executable
    """The interpreter beside whose programs commands run."""
    installs: bool = False


def follow(page: Path, folder: Path, asked: Asked) -> list[Step]:
    """Run what a page says in a folder, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_follow, page, folder, asked).result()


def _follow(page: Path, folder: Path, asked: Asked) -> list[Step]:
    os.chdir(folder)
    steps: list[Step] = []
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language not in ("python", "bash"):
            continue
        why = _why_not(block, asked)
        for text in _parts(block):
            began = time.perf_counter()
            result = f"not run: {why}" if why else _run(block, text, names, asked)
            seconds = 0.0 if why else time.perf_counter() - began
            place = f"{page.name}:{block.line}"
            steps.append(Step(place, text, seconds, result))
            if result.startswith("FAILED"):
                return steps
    return steps


def _parts(block: Block) -> Iterator[str]:
    if block.language == "python":
        yield block.text
    else:
        yield from map(shlex.join, block.commands)


def _why_not(block: Block, asked: Asked) -> str:
    if "hub" in block.needs and not asked.installs:
        return "installs; see --install"
    if "long" in block.needs and asked.quick:
        return "takes minutes; left out by --quick"
    if "weights" in block.needs and asked.miniature:
        return "needs a circuit, which random weights don't have"
    missing = [name for name in block.given if not Path(name).exists() and "/" in name]
    if missing:
        return f"needs {missing[0]}, which an earlier step makes"
    if asked.miniature and block.given:
        return "needs a circuit, which random weights don't have"
    return ""


def _run(block: Block, text: str, names: dict[str, Any], asked: Asked) -> str:
    if block.language == "bash":
        where = str(Path(asked.python).parent)
        if text.startswith("pip "):  # in the clone, as the page says
            command = [asked.python, "-m", *text.split()]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        else:
            environment = os.environ | {"PATH": f"{where}{os.pathsep}{os.environ['PATH']}"}
            done = subprocess.run(text, shell=True, env=environment, capture_output=True, text=True, check=False)
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        return "ok" if done.returncode == 0 else f"FAILED: exit status {done.returncode}: {' '.join(last)}"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile("\n" * (block.line - 1) + text, str(block.page), "exec"), names)
    except (Exception, SystemExit):
        return f"FAILED: {traceback.format_exc(limit=-1).strip().splitlines()[-1]}"
    return "ok"


def table(steps: list[Step]) -> str:
    """The steps in Markdown."""
    rows = ["| where | step | seconds | |", "| --- | --- | --- | --- |"]
    for step in steps:
        lines = [line for line in step.text.splitlines() if line.strip() and not line.startswith(("import", "#"))]
        first = lines[0] if lines else step.text.splitlines()[0]
        first = (first if len(first) <= 70 else first[:69] + "…").replace("|", "\\|")
        seconds = "" if step.result.startswith("not run") else f"{step.seconds:.1f}"
        rows.append(f"| {step.place} | `{first}` | {seconds} | {step.result.replace('|', '/')} |")
    return "\n".join([*rows, f"| | all | {sum(step.seconds for step in steps):.1f} | |"])


def environment(folder: Path) -> str:
    """A new one; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--miniature", action="store_true", help="a narrow model with random weights")
    parser.add_argument("--quick", action="store_true", help="leave out what the pages mark as taking minutes")
    parser.add_argument("--install", action="store_true", help="make an environment as the page says (minutes)")
    parser.add_argument("--fresh-cache", action="store_true", help="fetch the model anew")
    parser.add_argument("--pages", nargs="+", default=list(PAGES), metavar="PAGE", help="below docs/, in this order")
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="newcomer") as place:
        folder = Path(place) / "work"
        folder.mkdir()
        os.environ["CIRCUITSPEX_STORE"] = str(Path(place) / "store.sqlite")
        if options.miniature:
            from given import miniature  # it needs PyTorch

            miniature(Path(place) / "cache")
        if options.miniature or options.fresh_cache:
            os.environ["CIRCUITSPEX_CACHE"] = str(Path(place) / "cache")
        python = environment(Path(place) / "venv") if options.install else sys.executable
        asked = Asked(options.quick, options.miniature, python, options.install)
        steps: list[Step] = []
        for page in options.pages:
            print(f"following docs/{page}", flush=True)
            steps += follow(ROOT / "docs" / page, folder, asked)
        written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    said = f"{table(steps)}\n\nwritten: {', '.join(written) or 'nothing'}\n"
    print(said)
    if options.out:
        options.out.write_text(said, encoding="utf-8")
    return int(any(step.result.startswith("FAILED") for step in steps))


if __name__ == "__main__":
    sys.exit(main())
