"""The circuit as a cell's output in a notebook: an inline diagram and a short table, without scripts or styles.

It works in notebooks that are not trusted, in light and dark themes, and any number of times in one document.
"""

from __future__ import annotations

from html import escape

from circuitspex.circuits.circuit import Circuit
from circuitspex.export.drawing.circuit_layout import layout
from circuitspex.export.drawing.style import budget_text, decimals, effect_text, faithfulness_text, printable, title_of
from circuitspex.export.pages.svg import diagram

MAX_ROWS = 10
MAX_HEIGHT = 620


def render(circuit: Circuit) -> str:
    """An HTML fragment that draws the circuit."""
    placed = layout(circuit)
    title = title_of(circuit)
    facts = " · ".join(part for part in (faithfulness_text(circuit), budget_text(circuit)) if part)
    drawing = diagram(placed, f"Circuit of {title}")
    drawing = drawing.replace("<svg ", f'<svg width="{placed.width:.0f}" height="{placed.height:.0f}" ', 1)
    return (
        '<div style="font-family:system-ui,sans-serif;line-height:1.4;background:#fff;color:#1a1f26;padding:12px;'
        'border-radius:8px">'
        f'<div style="font-weight:650;font-size:15px">{escape(title)}</div>'
        f'<div style="font-size:12.5px;color:#59636e;margin-bottom:8px">{escape(facts)}</div>'
        f'<div style="overflow:auto;max-height:{MAX_HEIGHT}px">{drawing}</div>{_table(circuit)}</div>'
    )


def _table(circuit: Circuit) -> str:
    edges = sorted(circuit.interactions, key=lambda edge: (-abs(edge.effect), edge.components))
    if not edges:
        return '<div style="font-size:12.5px">No interactions.</div>'
    places = decimals(circuit)
    cell = 'style="text-align:left;padding:2px 14px 2px 0"'
    rows = "".join(
        f"<tr><td {cell}>{escape(printable(' × '.join(edge.components)))}</td>"
        f"<td {cell}>{escape(effect_text(edge, places))}</td><td {cell}>{edge.label}</td></tr>"
        for edge in edges[:MAX_ROWS]
    )
    more = f" (the strongest {MAX_ROWS} of {len(edges)})" if len(edges) > MAX_ROWS else f" ({len(edges)})"
    dropped = f"; {len(circuit.dropped)} did not replicate and are left out" if circuit.dropped else ""
    return (
        f'<details style="margin-top:6px;font-size:12.5px"><summary>Interactions{more}{dropped}</summary>'
        f'<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">{rows}</table></details>'
    )
