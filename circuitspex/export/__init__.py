"""Files and pictures of results: our own JSON, drawings, tables, and the files of other tools (docs/exports.md).

Importing this package adds its formats to ``circuitspex.circuits.formats``. Each is loaded when it is first used, so
that the import stays quick.
"""

from __future__ import annotations

import importlib
from typing import Any

from circuitspex.circuits.formats import Format, add
from circuitspex.registry import Later


def _in(place: str) -> Later:
    return Later(f"circuitspex.export.{place}")


_CIRCUIT = {
    "json": Format(_in("files.circuit:write"), _in("files.circuit:read"), ending="json", about="everything"),
    "svg": Format(_in("figures.circuit:write_svg"), None, _in("figures.circuit:render_svg"), "svg", "the diagram"),
    "png": Format(_in("figures.circuit:write_png"), ending="png", about="the diagram"),
    "pdf": Format(_in("figures.circuit:write_pdf"), ending="pdf", about="the diagram"),
    "svg-dark": Format(_in("figures.circuit:write_svg_dark"), ending="dark.svg", about="for dark pages"),
    "png-dark": Format(_in("figures.circuit:write_png_dark"), ending="dark.png", about="for dark pages"),
    "html": Format(
        _in("pages.circuit:write"), None, _in("pages.circuit:render_cell"), "html", "a page, needs no network"
    ),
    "notebook": Format(None, None, _in("pages.notebook:render_circuit")),
    "text": Format(_in("tables.circuit:write"), None, _in("tables.circuit:render"), "txt", "a table"),
    "dot": Format(_in("graphs.dot:write"), None, _in("graphs.dot:render"), "dot", "Graphviz"),
    "mermaid": Format(_in("graphs.mermaid:write"), None, _in("graphs.mermaid:render"), "mmd", "Mermaid"),
    "graphml": Format(_in("graphs.graphml:write"), ending="graphml", about="networkx, yEd, Gephi"),
    "gexf": Format(_in("graphs.gexf:write"), ending="gexf", about="Gephi"),
    "csv": Format(_in("graphs.csv:write"), ending="csv", about="spreadsheets; two files"),
    "neuronpedia": Format(_in("graphs.neuronpedia:write"), ending="neuronpedia.json", about="attribution graphs"),
    "eap": Format(_in("graphs.eap:write"), _in("graphs.eap:read"), ending="eap.json", about="EAP-IG and MIB"),
    "shapiq": Format(_in("graphs.shapiq:write"), ending="shapiq.json", about="shapiq's InteractionValues"),
}
_COMPARISON = {
    "json": Format(_in("files.comparison:write"), _in("files.comparison:read"), ending="json"),
    "csv": Format(_in("files.comparison:write_csv"), ending="csv"),
    "html": Format(_in("pages.comparison:write"), None, _in("pages.comparison:render_cell"), "html"),
    "notebook": Format(None, None, _in("pages.notebook:render_comparison")),
    "svg": Format(_in("figures.comparison:write_svg"), None, _in("figures.comparison:render_svg"), "svg"),
    "png": Format(_in("figures.comparison:write_png"), ending="png"),
    "pdf": Format(_in("figures.comparison:write_pdf"), ending="pdf"),
    "svg-dark": Format(_in("figures.comparison:write_svg_dark"), ending="dark.svg"),
    "png-dark": Format(_in("figures.comparison:write_png_dark"), ending="dark.png"),
    "text": Format(_in("tables.comparison:write"), None, _in("tables.comparison:render"), "txt"),
}
_SERIES = {
    "json": Format(_in("files.comparison:write_series"), _in("files.comparison:read_series"), ending="json"),
    "csv": Format(_in("files.comparison:write_series_csv"), ending="csv"),
    "plot": Format(_in("figures.series:write"), ending="png"),
    "text": Format(_in("tables.comparison:write_series"), None, _in("tables.comparison:render_series"), "txt"),
}
_REPORT = {
    "json": Format(_in("files.report:write"), ending="json"),
    "text": Format(_in("tables.report:write"), None, _in("tables.report:render"), "txt"),
    "plot": Format(_in("figures.report:write"), ending="png"),
}
_MIB = {
    "json": Format(_in("files.mib:write"), _in("files.mib:read"), ending="json"),
    "text": Format(_in("tables.mib:write"), None, _in("tables.mib:render"), "txt"),
    "plot": Format(_in("figures.mib:write"), ending="png"),
}
_PROMPT = {
    "json": Format(_in("files.prompt:write"), _in("files.prompt:read"), ending="json"),
    "html": Format(_in("pages.prompt:write"), None, _in("pages.prompt:render_cell"), "html"),
    "notebook": Format(None, None, _in("pages.notebook:render_prompt")),
    "svg": Format(_in("figures.prompt:write_svg"), None, _in("figures.prompt:render_svg"), "svg"),
    "png": Format(_in("figures.prompt:write_png"), ending="png"),
    "pdf": Format(_in("figures.prompt:write_pdf"), ending="pdf"),
    "svg-dark": Format(_in("figures.prompt:write_svg_dark"), ending="dark.svg"),
    "png-dark": Format(_in("figures.prompt:write_png_dark"), ending="dark.png"),
    "text": Format(None, None, _in("tables.prompt:render"), "txt"),
}
_DESCRIPTION = {
    "json": Format(_in("files.description:write"), _in("files.description:read"), ending="json"),
    "text": Format(_in("tables.description:write"), None, _in("tables.description:render"), "txt"),
}
_MECHANISMS = {
    "text": Format(_in("tables.mechanisms:write"), None, _in("tables.mechanisms:render"), "txt"),
    "plot": Format(_in("figures.mechanisms:write"), ending="png"),
}
_ALL = {
    "Description": _DESCRIPTION,
    "Circuit": _CIRCUIT,
    "Comparison": _COMPARISON,
    "Series": _SERIES,
    "Report": _REPORT,
    "MIBReport": _MIB,
    "PromptMap": _PROMPT,
    "Mechanisms": _MECHANISMS,
}

for _of, _formats in _ALL.items():
    for _name, _form in _formats.items():
        add(_of, _name, _form)

examples_page = _in("pages.examples:examples_page")
"""Training data and what it does, as an HTML page with the examples; see ``export.pages.examples``."""
examples_figure = _in("figures.examples:examples_figure")
"""Training data and what it does, as a matplotlib figure; see ``export.figures.examples``."""

_MOVED = {
    "compare_file": "files.comparison",
    "compare_figure": "figures.comparison",
    "compare_html": "pages.comparison",
    "csv_tables": "graphs.csv",
    "dot": "graphs.dot",
    "eap": "graphs.eap",
    "figure": "figures.circuit",
    "gexf": "graphs.gexf",
    "graph_parts": "graphs.parts",
    "graphml": "graphs.graphml",
    "html": "pages.circuit",
    "json_file": "files.circuit",
    "mermaid": "graphs.mermaid",
    "neuronpedia": "graphs.neuronpedia",
    "prompt_file": "files.prompt",
    "report_file": "files.report",
    "shapiq_file": "graphs.shapiq",
}
"""Modules that were here, by the names that people import them by; each is imported when it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{_MOVED[name]}")
