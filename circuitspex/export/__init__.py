"""Files and pictures of a circuit: its own JSON, drawings, tables, and the files of other tools (docs/exports.md).

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
from circuitspex.export import others


def _later(module: str, name: str) -> Callable[..., Any]:
    """A function that loads ``circuitspex.export.<module>`` when it is first called."""

    def call(*args: Any) -> Any:
        return getattr(importlib.import_module(f"circuitspex.export.{module}"), name)(*args)

    return call


def examples_page(*args: Any, **options: Any) -> Any:
    """Training data and what it does, as an HTML page with the examples; see ``export.examples_html``."""
    return importlib.import_module("circuitspex.export.examples_html").examples_page(*args, **options)


def examples_figure(*args: Any, **options: Any) -> Any:
    """Training data and what it does, as a matplotlib figure; see ``export.examples_drawn``."""
    return importlib.import_module("circuitspex.export.examples_drawn").examples_figure(*args, **options)


def _register() -> None:
    write: dict[str, Callable[[Circuit, Path], Path]] = {
        "json": _later("json_file", "write"),
        "svg": _later("figure", "write_svg"),
        "png": _later("figure", "write_png"),
        "pdf": _later("figure", "write_pdf"),
        "html": _later("html", "write"),
        "text": _later("text", "write"),
        "dot": _later("dot", "write"),
        "mermaid": _later("mermaid", "write"),
        "graphml": _later("graphml", "write"),
        "gexf": _later("gexf", "write"),
        "csv": _later("csv_tables", "write"),
        "neuronpedia": _later("neuronpedia", "write"),
        "eap": _later("eap", "write"),
        "shapiq": _later("shapiq_file", "write"),
    }
    render: dict[str, Callable[[Circuit], str]] = {
        "svg": _later("figure", "render_svg"),
        "html": _later("notebook", "render"),
        "text": _later("text", "render"),
        "dot": _later("dot", "render"),
        "mermaid": _later("mermaid", "render"),
    }
    for name, writer in write.items():
        formats.register(name, write=writer, render=render.get(name))
    formats.register("json", read=_later("json_file", "read"))
    formats.register("eap", read=_later("eap", "read"))
    for form, module in (("json", "report_file"), ("text", "report_text"), ("plot", "report_plot")):
        formats.register_other("report", form, write=_later(module, "write"))
    formats.register_other("report", "text", render=_later("report_text", "render"))
    others.register()


_register()
