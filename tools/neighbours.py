"""Tries what tools of the field can do with this package, beside the tools themselves, and writes docs/neighbours.md.

    python tools/neighbours.py [--only shapiq nnsight] [--out docs/neighbours.md]

Each neighbour has an environment of its own in ``.venv/neighbours`` (or ``$NEIGHBOURS``), made by pip the first time.
Those whose pins agree with ours see this project's packages too ('beside'); the others have only their own, and
Python's path to this project ('apart'). The table's claims are the first lines of the docstrings of the tests in
``tests/neighbours``. ``$PIP_FLAGS`` is given to pip.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = Path(os.environ.get("NEIGHBOURS", ROOT / ".venv" / "neighbours"))
OURS = ("pytest", "lazy-loader")
"""What tests need in an environment that is apart."""
WITHOUT_TORCH = ("cattrs", "fastjsonschema", "jsonschema", "lightgbm", "psutil", "threadpoolctl", "xxhash")


@dataclass(frozen=True)
class Neighbour:
    """A tool, and how it is tried: the packages for pip, and the tests (of one file, or some of its functions)."""

    name: str
    distribution: str
    packages: tuple[str, ...]
    tests: str
    line: str
    """The one line that combines the two."""
    beside: bool = True
    python: str = ""
    dependencies: bool = True
    only: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Of its environment."""
        return re.sub("[^a-z0-9.]+", "-", self.name.lower())


NEIGHBOURS = (
    Neighbour(
        "SAELens",
        "sae-lens",
        ("torch==2.13.0", "sae-lens==6.54.12", *OURS),
        "test_sae_lens.py",
        "`cx.Latents.from_sae_lens(folder)`",
        beside=False,
    ),
    Neighbour("nnsight", "nnsight", ("nnsight==0.8.1",), "test_nnsight.py", "`cx.load_model(language_model)`"),
    Neighbour(
        "shapiq on Python 3.12",
        "shapiq",
        ("shapiq==1.8.0", *WITHOUT_TORCH, *OURS),
        "test_shapiq.py",
        "`game.to_shapiq()`, `found.interactions.to_shapiq()`",
        beside=False,
        python="python3.12",
    ),
    Neighbour(
        "shapiq on Python 3.11",
        "shapiq",
        ("shapiq==1.4.1",),
        "test_shapiq.py",
        "`game.to_shapiq()`, `found.interactions.to_shapiq()`",
    ),
    Neighbour(
        "circuit-tracer, Neuronpedia",
        "circuit-tracer",
        ("circuit-tracer==0.5.0",),
        "test_circuit_tracer.py",
        '`circuit.export("neuronpedia", "graph.json")`',
        dependencies=False,
    ),
    Neighbour(
        "MLflow",
        "mlflow-skinny",
        ("mlflow-skinny==3.17.2",),
        "test_trackers.py",
        '`mlflow.log_artifact(circuit.save("circuit.json"))`',
        only=("test_mlflow",),
    ),
    Neighbour(
        "Weights & Biases",
        "wandb",
        (),
        "test_trackers.py",
        '`artifact.add_file(circuit.save("circuit.json"))`',
        only=("test_wandb",),
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a neighbour's tests: its version, and of each test whether all of its cases passed."""

    neighbour: Neighbour
    version: str
    passed: dict[str, bool]


def interpreter(neighbour: Neighbour) -> Path | None:
    """The Python of its environment, which is made if it is not there; None where that Python is missing."""
    folder = ENVIRONMENTS / neighbour.folder
    found = folder / "bin" / "python"
    if (folder / ".ready").exists():
        return found
    base = sys.executable if not neighbour.python else shutil.which(neighbour.python)
    if base is not None and subprocess.run([base, "-c", ""], capture_output=True, check=False).returncode:
        base = None  # a name on the path behind which there is no Python
    if base is None:
        print(f"{neighbour.name}: there is no {neighbour.python} here; left out", file=sys.stderr)
        return None
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([base, "-m", "venv", folder], check=True)
    if neighbour.beside:
        (packages,) = (folder / "lib").glob("python*/site-packages")
        (packages / "_project.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    if neighbour.packages:
        pip = [found, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        pip += shlex.split(os.environ.get("PIP_FLAGS", ""))
        pip += ["-c", ROOT / "constraints.txt"] if neighbour.beside else []
        pip += [] if neighbour.dependencies else ["--no-deps"]
        subprocess.run([*pip, *neighbour.packages], check=True)
    (folder / ".ready").touch()
    return found


def tried(neighbour: Neighbour, python: Path) -> Outcome:
    """Run its tests in its environment."""
    file = ROOT / "tests" / "neighbours" / neighbour.tests
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    asks = f"import importlib.metadata as m; print(m.version({neighbour.distribution!r}))"
    version = subprocess.run([python, "-c", asks], env=environment, check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        if not neighbour.beside:  # the fixtures of the whole suite need all of our packages
            options += ["--noconftest", "-c", os.devnull, f"--rootdir={ROOT}"]
        else:
            options += ["-n", "0"]
        chosen = [f"{file}::{name}" for name in neighbour.only] or [str(file)]
        environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
        subprocess.run([python, "-m", "pytest", *options, *chosen], env=environment, cwd=ROOT, check=False)
        passed: dict[str, bool] = {}
        for case in ET.parse(report).iter("testcase"):
            name = case.attrib["name"].partition("[")[0]
            passed[name] = passed.get(name, True) and not any(each.tag != "properties" for each in case)
    return Outcome(neighbour, version.strip(), passed)


def claims(file: Path) -> dict[str, str]:
    """By the name of a test, the first line of its docstring."""
    tree = ast.parse(file.read_text())
    tests = (each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"))
    return {each.name: (ast.get_docstring(each) or each.name).splitlines()[0] for each in tests}


def table(outcomes: list[Outcome]) -> str:
    """The table in Markdown."""
    lines = ["| neighbour | version | in one line | what was tried | works |", "| --- | --- | --- | --- | --- |"]
    for outcome in outcomes:
        says = claims(ROOT / "tests" / "neighbours" / outcome.neighbour.tests)
        way = "" if outcome.neighbour.beside else "; in an environment apart"
        start = f"| {outcome.neighbour.name} | {outcome.version}{way} | {outcome.neighbour.line} |"
        for name, passed in outcome.passed.items():
            lines.append(f"{start} {says[name]} | {'yes' if passed else '**no**'} |")
            start = "| | | |"
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these neighbours, by a part of their name")
    parser.add_argument("--out", type=Path, help="the page whose table is written anew; only with all neighbours")
    options = parser.parse_args()
    chosen = [
        each
        for each in NEIGHBOURS
        if not options.only or any(part.lower() in each.name.lower() for part in options.only)
    ]
    outcomes = [tried(each, python) for each in chosen if (python := interpreter(each)) is not None]
    made = table(outcomes)
    print(made)
    if options.out is not None and len(outcomes) == len(NEIGHBOURS):
        before, begin, rest = options.out.read_text().partition("<!-- table -->\n")
        _, end, after = rest.partition("<!-- end of the table -->")
        options.out.write_text(f"{before}{begin}\n{made}\n\n{end}{after}")
    return 0 if outcomes and all(all(each.passed.values()) and each.passed for each in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
