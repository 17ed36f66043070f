"""What the scripts in tools/ import from the package is there: few of them run in tests."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import circuitspex as cx

TOOLS = Path(__file__).parents[2] / "tools"
SCRIPTS = sorted(TOOLS.rglob("*.py"))


def missing(source: str) -> list[str]:
    """Names that a script takes from the package and that the package does not have."""
    out = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "circuitspex":
            module = importlib.import_module(str(node.module))
            for each in node.names:
                if not hasattr(module, each.name):
                    try:
                        importlib.import_module(f"{node.module}.{each.name}")
                    except ModuleNotFoundError:
                        out.append(f"{node.module}.{each.name}")
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "cx"
            and not hasattr(cx, node.attr)
        ):
            out.append(f"cx.{node.attr}")
    return out


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(TOOLS)))
def test_what_a_script_takes_from_the_package_is_there(script: Path) -> None:
    assert missing(script.read_text(encoding="utf-8")) == []


def test_a_name_that_is_gone_is_noticed() -> None:
    assert missing("from circuitspex.errors import UserError, Gone\nimport circuitspex as cx\ncx.lost()") == [
        "circuitspex.errors.Gone",
        "cx.lost",
    ]
    assert missing("from circuitspex.recovery import decoders") == []
