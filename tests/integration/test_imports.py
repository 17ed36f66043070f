"""Importing is quick and light, and the public names are what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import circuitspex as cx


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = _modules_after("import circuitspex")
    assert not loaded & {"torch", "transformers", "transformer_lens", "matplotlib", "sklearn", "lightgbm"}


def test_decoders_import_without_a_model_library() -> None:
    loaded = _modules_after("import circuitspex.recovery, circuitspex.masks")
    assert not loaded & {"torch", "transformers", "transformer_lens"}


def test_the_command_line_starts_without_a_model_library() -> None:
    heavy = {"torch", "transformers", "transformer_lens", "jaxtyping", "numpy", "scipy", "sklearn", "lightgbm"}
    assert not _modules_after("import circuitspex.cli.main") & heavy


def test_the_tables_are_known_without_what_is_in_them() -> None:
    statement = """
from circuitspex.circuits.formats import names
from circuitspex.recovery import DECODERS
from circuitspex.tasks import METRICS, TASKS
assert all(table.values() for table in (DECODERS, METRICS, TASKS)) and names()
"""
    heavy = {"torch", "transformers", "transformer_lens", "jaxtyping", "numpy", "scipy", "sklearn", "lightgbm"}
    assert not _modules_after(statement) & heavy


def test_folders_are_there_without_an_import_of_their_own() -> None:
    """In every order, and as the docs name them: whatever was imported before may have made them attributes."""
    root = Path(__file__).resolve().parents[2]
    pages = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "tools").glob("*.py")]
    named = set().union(*(re.findall(r"\bcx\.([a-z_]+)\.([A-Za-z_]+)", page.read_text()) for page in pages))
    folders = sorted({(folder, name) for folder, name in named if (root / "circuitspex" / folder).is_dir()})
    assert {"circuits", "games", "tasks"} <= {folder for folder, _ in folders}
    # What belongs to others is imported once; each folder is then asked for in a process of its own.
    alone = """
import importlib, os, sys, matplotlib, sklearn.linear_model, torch, transformer_lens, transformers
assert not any(name.partition(".")[0] == "circuitspex" for name in sys.modules)
for folder, name in eval(sys.argv[1]):
    child = os.fork()
    if not child:
        try:
            getattr(getattr(importlib.import_module("circuitspex"), folder), name)
        except BaseException as failed:
            print(f"cx.{folder}.{name}: {failed!r}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
    asked = [sys.executable, "-c", alone, repr(list(dict(folders).items()))]
    assert subprocess.run(asked, check=True, capture_output=True, text=True).stdout == ""


def test_every_public_name_exists_and_is_documented() -> None:
    for name in cx.__all__:
        assert getattr(cx, name).__doc__, name
    assert set(cx.__all__) <= set(dir(cx))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(cx, "no_such_name")


LIGHT = (
    ["--help"],
    ["find", "--help"],
    ["export", "--help"],
    ["models", "list"],
    ["runs", "list"],
    ["info"],
)


def test_commands_that_need_no_model_import_no_model_library(tmp_path: Path) -> None:
    """``info`` asks PyTorch once, and then again when something has changed."""
    environment = {
        **os.environ,
        "CIRCUITSPEX_CACHE": str(tmp_path),
        "CIRCUITSPEX_STORE": str(tmp_path / "runs.sqlite"),
        "CIRCUITSPEX_REMEMBER": "on",
    }

    def modules_of(command: list[str], **more: str) -> tuple[set[str], str]:
        code = (
            f"import sys\nfrom circuitspex.cli.main import main\ntry:\n    main({command!r})\nexcept SystemExit:\n"
            "    pass\nprint('MODULES', *sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], env={**environment, **more}, capture_output=True, text=True, check=True
        )
        said, _, modules = done.stdout.rpartition("MODULES")
        return set(modules.split()), said

    heavy = {"torch", "transformers", "transformer_lens", "scipy", "sklearn", "lightgbm", "matplotlib", "pandas"}
    asked, first = modules_of(["info"])
    assert "torch" in asked
    for command in LIGHT:
        loaded, said = modules_of(command)
        assert not loaded & heavy, command
        assert said.strip(), command
    assert [line for line in said.splitlines() if "memory" not in line] == [
        line for line in first.splitlines() if "memory" not in line
    ]
    assert "torch" in modules_of(["info", "--try"])[0]
    changed, said = modules_of(["info"], CIRCUITSPEX_KERNELS="off")
    assert "torch" in changed
    assert "CIRCUITSPEX_KERNELS is off" in said
