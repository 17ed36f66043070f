"""Importing is quick and light, and the public names are what they say."""

from __future__ import annotations

import subprocess
import sys

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


def test_every_public_name_exists_and_is_documented() -> None:
    for name in cx.__all__:
        assert getattr(cx, name).__doc__, name
    assert set(cx.__all__) <= set(dir(cx))


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(cx, "no_such_name")
