"""The wheel that users install has every file that the package reads, and writes every format from it. No network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "formats"

WRITE_EVERYTHING = """
import sys
from pathlib import Path

import circuitspex as cx
from circuitspex.circuits import formats
from circuitspex.circuits.comparison import Series

print(cx.__file__)
for name in cx.__all__:
    getattr(cx, name)
fixtures, out = map(Path, sys.argv[1:])
kinds = {"circuit": cx.Circuit, "comparison": cx.Comparison, "series": Series, "prompt": cx.PromptMap}
for file, kind in kinds.items():
    found = formats.read(kind, fixtures / f"{file}.json")
    for name in formats.names(kind.__name__):
        path = formats.write(found, name, out / f"{file}-{name}.{formats.ending(kind.__name__, name)}")
        assert path.stat().st_size > 100, path
    assert len(found._repr_html_() if hasattr(found, "_repr_html_") else str(found)) > 100
    assert formats.read(kind, out / f"{file}-json.json") == found
"""


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def data_files(package: Path) -> set[str]:
    """All files that are not Python code, by their place in the package."""
    files = (path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    return {path.relative_to(package).as_posix() for path in files}


@pytest.mark.long
def test_a_wheel_has_all_files_and_writes_every_format(tmp_path: Path) -> None:
    source, site, out = tmp_path / "source", tmp_path / "site", tmp_path / "out"
    shutil.copytree(ROOT / "circuitspex", source / "circuitspex", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")
    run(*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel)
    assert data_files(site / "circuitspex") == data_files(ROOT / "circuitspex")
    env = {**os.environ, "PYTHONPATH": str(site)}
    said = run("-c", WRITE_EVERYTHING, FIXTURES, out, cwd=tmp_path, env=env)
    assert Path(said.splitlines()[0]).is_relative_to(site)
