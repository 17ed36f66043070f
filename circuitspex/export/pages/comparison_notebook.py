"""A comparison as a cell's output in a notebook: the three diagrams and the largest changes, without scripts or styles.

It works in notebooks that are not trusted, and any number of times in one document.
"""

from __future__ import annotations

from html import escape

from circuitspex.circuits.comparison import Change, Comparison
from circuitspex.export.drawing.circuit_layout import Layout
from circuitspex.export.drawing.comparison_layout import KIND_MARKS, union_layout
from circuitspex.export.pages.notebook import MAX_HEIGHT, MAX_ROWS
from circuitspex.export.pages.svg import diagram
from circuitspex.export.tables.comparison_words import estimate_text, members, model_names, places_of, title_of, verdict


def render(comparison: Comparison) -> str:
    """An HTML fragment that draws the comparison."""
    parts = [
        '<div style="font-family:system-ui,sans-serif;line-height:1.4;background:#fff;color:#1a1f26;padding:12px;'
        'border-radius:8px">',
        f'<div style="font-weight:650;font-size:15px">{escape(title_of(comparison))}</div>',
        f'<div style="font-size:13px;color:#59636e;margin-bottom:8px">{escape(verdict(comparison))}</div>',
    ]
    if not comparison.identical and (comparison.before.nodes or comparison.after.nodes):
        one, two = model_names(comparison)
        placed = union_layout(comparison)
        sides = (("Difference", "", placed.difference), ("Before", one, placed.before), ("After", two, placed.after))
        parts += [_side(side, about, drawn, side == "Difference") for side, about, drawn in sides]
    return "".join([*parts, _table(comparison), "</div>"])


def _side(side: str, about: str, placed: Layout, shown: bool) -> str:
    size = f'<svg width="{placed.width:.0f}" height="{placed.height:.0f}" '
    drawing = diagram(placed, f"{side} {about}").replace("<svg ", size, 1)
    return (
        f'<details{" open" if shown else ""} style="font-size:12.5px"><summary>{escape(f"{side} {about}".strip())}'
        f'</summary><div style="overflow:auto;max-height:{MAX_HEIGHT}px">{drawing}</div></details>'
    )


def _table(comparison: Comparison) -> str:
    if not comparison.found:
        return ""
    places = places_of(comparison)
    cell = 'style="text-align:left;padding:2px 14px 2px 0"'
    heads = "".join(f"<th {cell}>{head}</th>" for head in ("", "kind", "before", "after", "difference"))
    rows = "".join(f"<tr>{_cells(change, places, cell)}</tr>" for change in comparison.found[:MAX_ROWS])
    n = len(comparison.found)
    more = f" (the largest {MAX_ROWS} of {n})" if n > MAX_ROWS else f" ({n})"
    return (
        f'<details open style="margin-top:6px;font-size:12.5px"><summary>Changes{more}</summary>'
        '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f"<tr>{heads}</tr>{rows}</table></details>"
    )


def _cells(change: Change, places: int, cell: str) -> str:
    sides = (estimate_text(side, places) for side in (change.before, change.after, change.difference))
    texts = (members(change), f"{KIND_MARKS[change.kind]} {change.kind}", *sides)
    return "".join(f"<td {cell}>{escape(text)}</td>" for text in texts)
