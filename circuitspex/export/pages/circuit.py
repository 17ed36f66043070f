"""The circuit as one HTML page that can be mailed, hosted or opened from a disk: no other file, no network.

The page's markup, style and script are in ``page.html``, ``page.css`` and ``page*.js`` beside this module. A content
security policy names the style and the script by their hashes and forbids everything else, so that text from prompts or
names can't run even if it got past the escaping.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.export.drawing.circuit_layout import Layout, layout
from circuitspex.export.drawing.style import (
    DARK,
    LIGHT,
    Palette,
    decimals,
    direction_text,
    interval,
    number,
    printable,
    title_of,
)
from circuitspex.export.pages import parts as page_parts
from circuitspex.export.pages.svg import diagram
from circuitspex.files import write_atomically

_PAGE_LIGHT, _PAGE_DARK = "#eef1f4", "#0b0e12"


def render_page(circuit: Circuit) -> str:
    """The whole page as text."""
    placed = layout(circuit)
    places = decimals(circuit)
    nodes, edges = [mark.node for mark in placed.nodes], [mark.edge for mark in placed.edges]
    title = title_of(circuit)
    metric = printable(circuit.task.get("metric") or "the metric")
    style, script = stylesheet("page.css"), script_of("page_common.js", "page.js")
    values = {
        "script_hash": hash_of(script),
        "style_hash": hash_of(style),
        "style": style,
        "script": script,
        "title": page_parts.text(f"{title} · circuit"),
        "heading": page_parts.text(title),
        "example": page_parts.example(circuit.task),
        "tiles": page_parts.tiles(circuit, places),
        "orders": page_parts.orders(edges),
        "diagram": diagram(placed, f"Circuit of {title}", interactive=True),
        "legend": page_parts.legend({node.kind for node in nodes}, any(mark.arrow for mark in placed.edges)),
        "interactions": page_parts.interactions(edges, circuit.dropped, places),
        "components": page_parts.components(nodes, places, circuit.has_layers),
        "verification": page_parts.verification(circuit.verification, metric),
        "facts": page_parts.facts(circuit),
        "metric": page_parts.text(metric),
        "hint": page_parts.text("L23H3, layer 23, redundant" if circuit.has_layers else "a name, redundant"),
        "data": embedded(_data(placed, circuit, places, metric)),
    }
    return filled("page.html", values)


def write(circuit: Circuit, path: Path) -> Path:
    """Write the page."""
    return write_atomically(path, render_page(circuit).encode("utf-8"))


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template of this package with its ``{{names}}`` replaced, once, so that values can hold anything."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _template(template))


def _data(placed: Layout, circuit: Circuit, places: int, metric: str) -> dict[str, Any]:
    """What the script needs: the parts in the diagram's order, with their numbers as they are printed."""
    strongest = max(placed.nodes, key=lambda mark: abs(mark.node.effect), default=None)
    return {
        "places": places,
        "metric": metric,
        "with_effects": placed.with_effects,
        "focus": None if strongest is None else [strongest.x, strongest.y],
        "nodes": [
            {
                "name": mark.node.name,
                "layer": mark.node.layer if circuit.has_layers else None,
                "kind": mark.node.kind,
                **_numbers(mark.node, places),
            }
            for mark in placed.nodes
        ],
        "edges": [_edge(mark.edge, places) for mark in placed.edges],
        "dropped": [_edge(edge, places) for edge in circuit.dropped],
    }


def _edge(edge: Interaction, places: int) -> dict[str, Any]:
    found: dict[str, Any] = {"components": list(edge.components), "label": edge.label, **_numbers(edge, places)}
    if edge.table:
        found["table"] = [[[int(kept) for kept in row.kept], _short(row.value)] for row in edge.table]
    if edge.q is not None:
        found["q"] = f"{edge.q:.2g}"
    if edge.direction is not None:
        found["path"] = direction_text(edge.direction)
    return found


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _numbers(part: Node | Interaction, places: int) -> dict[str, Any]:
    measured = part.measured
    found: dict[str, Any] = {"per_prompt": [_short(value) for value in part.per_prompt]} if part.per_prompt else {}
    return found | {
        "effect": part.effect,
        "value": number(part.effect, places),
        "interval": "" if measured is None else interval(measured.low, measured.high, places),
        "decoded": number(part.decoded, places),
    }


def embedded(data: dict[str, Any]) -> str:
    """JSON that can stand in a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.cache
def _template(name: str) -> str:
    return resources.files("circuitspex.export.pages").joinpath(name).read_text(encoding="utf-8").strip()


def script_of(*names: str) -> str:
    """The scripts of that name, one after the other."""
    return "\n".join(map(_template, names))


@functools.cache
def stylesheet(*names: str) -> str:
    """The style sheets of that name, after the colours of the light and the dark palette."""
    light, dark = _variables(LIGHT, _PAGE_LIGHT), _variables(DARK, _PAGE_DARK)
    return (
        f":root{{{light};color-scheme:light}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{{dark};color-scheme:dark}}}}\n"
        f':root[data-theme="light"]{{{light};color-scheme:light}}\n'
        f':root[data-theme="dark"]{{{dark};color-scheme:dark}}\n' + script_of(*names)
    )


def _variables(palette: Palette, page: str) -> str:
    colours = ";".join(f"--cx-{field.name}:{getattr(palette, field.name)}" for field in fields(palette))
    return f"{colours};--page:{page}"


def hash_of(text: str) -> str:
    """The text's hash as a content security policy names it."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
