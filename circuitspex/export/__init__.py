"""Files and pictures of a circuit: JSON, SVG, PNG, PDF, HTML and text.

Importing this package registers its formats with ``circuitspex.circuits.formats``. Each is loaded when it is first
used, so that the import stays quick.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from circuitspex.circuits import formats
from circuitspex.circuits.circuit import Circuit


def _later(module: str, name: str) -> Callable[..., Any]:
    """A function that loads ``circuitspex.export.<module>`` when it is first called."""

    def call(*args: Any) -> Any:
        return getattr(importlib.import_module(f"circuitspex.export.{module}"), name)(*args)

    return call


def _register() -> None:
    write: dict[str, Callable[[Circuit, Path], Path]] = {
        "json": _later("json_file", "write"),
        "svg": _later("figure", "write_svg"),
        "png": _later("figure", "write_png"),
        "pdf": _later("figure", "write_pdf"),
        "html": _later("html", "write"),
        "text": _later("text", "write"),
    }
    render: dict[str, Callable[[Circuit], str]] = {
        "svg": _later("figure", "render_svg"),
        "html": _later("notebook", "render"),
        "text": _later("text", "render"),
    }
    for name, writer in write.items():
        formats.register(name, write=writer, render=render.get(name))
    formats.register("json", read=_later("json_file", "read"))


_register()
