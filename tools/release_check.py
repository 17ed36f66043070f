"""Install the wheel as users do, with the lowest and with the newest versions of what it needs, and try it there.

    python tools/release_check.py --wheel dist/circuitspex-0.2.0-py3-none-any.whl

Makes an environment for each row of the table (it needs a network, or pip's own settings for one), installs the wheel
into it, runs ``tools/smoke_test.py`` in an empty folder outside of the checkout, and prints the table. Exits with 1
where anything failed. Without ``--wheel`` it builds one first, with what ``build`` needs.

- lowest: the lower end of every range in the wheel's own metadata, all together;
- newest: what pip gives today;
- names of other Pythons (``--python 3.12``): the wheel without what it needs, but for what its help takes.

PyTorch is pinned (``--torch``): its builds are gigabytes, and circuitspex asks for no newer one than TransformerLens.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "tools" / "smoke_test.py"
FOR_HELP = ("lazy-loader", "psutil", "packaging")
"""What `circuitspex --help` imports; enough for a Python without PyTorch."""
SDISTS = ("transformers-stream-generator",)
"""Packages that TransformerLens needs and that come without a wheel."""


@dataclass
class Row:
    """One environment, and what came of it."""

    name: str
    python: str
    folder: Path
    pins: list[str] = field(default_factory=list)
    alone: bool = False
    outcome: str = "not run"
    seconds: float = 0.0
    megabytes: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


def requirements(wheel: Path) -> list[Requirement]:
    """What the wheel needs without any extra."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = BytesParser().parsebytes(archive.read(name))
    found = map(Requirement, said.get_all("Requires-Dist") or [])
    return [each for each in found if each.marker is None or each.marker.evaluate({"extra": ""})]


def lowest(needs: Iterable[Requirement]) -> Iterator[str]:
    """Each requirement at the lower end of its range.

    Raises:
        SystemExit: one has no lower end, so that nothing says what it works with.
    """
    for need in needs:
        ends = [each.version for each in need.specifier if each.operator in (">=", "==", "~=")]
        if len(ends) != 1:
            sys.exit(f"release_check: '{need}' has no lower end")
        yield f"{need.name}=={ends[0]}"


def run(*command: str | Path, **options: object) -> tuple[bool, str]:
    """Whether it succeeded, and the last line that says something."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, **options)  # type: ignore[call-overload]
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "Error" in line]
    return done.returncode == 0, (errors or lines or ["nothing was said"])[-1].strip()


def install(row: Row, wheel: Path) -> str:
    """Make the environment, unless a stamp says that this wheel is in it with these pins; the reason of a failure."""
    stamp, wanted = row.folder / "installed.txt", "\n".join([str(wheel.stat().st_mtime_ns), *row.pins])
    if stamp.is_file() and stamp.read_text() == wanted:
        return ""
    python = row.folder / "bin" / "python"
    if not python.exists():
        well, said = run(row.python, "-m", "venv", row.folder)
        if not well:
            return said
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    if row.alone:
        steps = [(*pip, *FOR_HELP), (*pip, "--no-deps", "--force-reinstall", wheel)]
    else:
        binary = ("--only-binary", ":all:", *(part for name in SDISTS for part in ("--no-binary", name)))
        eager = () if row.name == "lowest" else ("--upgrade", "--upgrade-strategy", "eager")
        steps = [(*pip, *binary, *eager, wheel, *row.pins), (*pip, "--no-deps", "--force-reinstall", wheel)]
        steps.append((python, "-m", "pip", "check"))
    for step in steps:
        well, said = run(*step)
        if not well:
            return said
    stamp.write_text(wanted)
    return ""


def try_out(row: Row, wheel: Path, names: Iterable[str]) -> None:
    """Install, run the smoke test, and look at what is there."""
    started = time.monotonic()
    reason = install(row, wheel)
    if not reason:
        with tempfile.TemporaryDirectory(prefix="circuitspex-smoke-") as folder:
            short = ("--without-torch",) if row.alone else ()
            well, said = run(row.folder / "bin" / "python", SMOKE, folder, *short, cwd=folder)
        reason = "" if well else said
        row.versions = installed(row.folder, names)
        row.megabytes = size_of(row.folder)
    row.outcome = f"failed: {reason}" if reason else "passed"
    row.seconds = time.monotonic() - started


def installed(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The versions of these packages in an environment."""
    code = (
        "import sys\nfrom importlib.metadata import PackageNotFoundError, version\nfor name in sys.argv[1:]:\n"
        "    try:\n        print(name, version(name))\n    except PackageNotFoundError:\n        pass"
    )
    done = subprocess.run([folder / "bin" / "python", "-c", code, *names], capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def size_of(folder: Path) -> float:
    """MB of an environment."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink()) / 1e6


def table(rows: list[Row], names: list[str]) -> str:
    """Markdown: the environments, then the versions that were tried."""
    lines = ["| environment | Python | smoke test | MB | seconds |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        lines.append(f"| {row.name} | {row.python} | {row.outcome} | {row.megabytes:.0f} | {row.seconds:.0f} |")
    full = [row for row in rows if not row.alone]
    if not full:
        return "\n".join(lines)
    lines += ["", "| needs | " + " | ".join(row.name for row in full) + " |", "| --- |" + " --- |" * len(full)]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(row.versions.get(name, "") for row in full) + " |")
    return "\n".join(lines)


def built(folder: Path) -> Path:
    """A wheel built from an sdist of the checkout, as a release is."""
    well, said = run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    if not well:
        sys.exit(f"release_check: the build failed: {said}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="the wheel to try (default: build one)")
    parser.add_argument("--only", action="append", choices=("lowest", "newest", "pythons"), help="not all")
    parser.add_argument(
        "--python", action="append", default=[], metavar="X.Y", help="also this Python, without PyTorch"
    )
    parser.add_argument("--torch", default="2.13.0", metavar="VERSION", help="of PyTorch, in all environments")
    parser.add_argument(
        "--environments", type=Path, metavar="FOLDER", help="where they lie; kept (default: thrown away)"
    )
    options = parser.parse_args()
    for each in options.python:
        if shutil.which(f"python{each}") is None:
            parser.error(f"--python {each}: there is no python{each} on the path; name a version such as 3.12")
    with tempfile.TemporaryDirectory(prefix="circuitspex-release-") as scratch:
        wheel = (options.wheel or built(Path(scratch) / "dist")).resolve()
        place = (options.environments or Path(scratch)).resolve()
        needs = requirements(wheel)
        ours = f"torch=={options.torch}"
        pins = {
            "lowest": [ours, *(pin for pin in lowest(needs) if not pin.startswith("torch=="))],
            "newest": [ours],
        }
        here = functools.partial(Row, python=sys.executable)
        rows = [here(name, folder=place / name, pins=pins[name]) for name in pins if name in (options.only or pins)]
        rows += [Row("without PyTorch", f"python{each}", place / each, alone=True) for each in options.python]
        names = [need.name for need in needs]
        for row in rows:
            print(f"{row.name}, {row.python}", file=sys.stderr, flush=True)
            try_out(row, wheel, names)
            row.python = installed_python(row)
        print(f"{wheel.name}\n\n{table(rows, names)}")
    sys.exit(any(row.outcome != "passed" for row in rows))


def installed_python(row: Row) -> str:
    """The version of an environment's Python; its command where there is none."""
    python = row.folder / "bin" / "python"
    if not python.exists():
        return row.python
    return subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


if __name__ == "__main__":
    main()
