"""The circuit as one HTML page that can be mailed, hosted or opened from a disk, and as a cell's output in a notebook.

The cell has an inline diagram and a short table; it works in notebooks that are not trusted, in light and dark themes,
and any number of times in one document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.export.drawing.circuit_layout import Layout, layout
from circuitspex.export.drawing.claims import doubt_text, interval_note, is_hollow, measured_label
from circuitspex.export.drawing.style import (
    budget_text,
    decimals,
    direction_text,
    effect_number,
    effect_text,
    estimate_text,
    faithfulness_text,
    interval,
    is_signed,
    number,
    others_text,
    title_of,
)
from circuitspex.export.pages.parts import MAX_ROWS, bars, facts, strongest_first, tiles
from circuitspex.export.pages.rendering import page, render, sized
from circuitspex.export.pages.svg import diagram
from circuitspex.files import file_writer
from circuitspex.text import printable


def render_page(circuit: Circuit) -> str:
    """The whole page as text."""
    placed, places, title = layout(circuit), decimals(circuit), title_of(circuit)
    nodes, example = [mark.node for mark in placed.nodes], circuit.task.get("example")
    shown = example if isinstance(example, Mapping) else {}
    rows = sorted(enumerate(nodes), key=lambda row: (-abs(row[1].effect), row[1].name))
    metric = printable(circuit.task.get("metric") or "the metric")
    return page(
        "circuit.html",
        [],
        ["page_common.js", "page.js"],
        title=title,
        example={key: shown.get(key) for key in ("prompt", "answer", "wrong_answer", "counterfactual")},
        tiles=tiles(circuit, places),
        diagram=Markup(diagram(placed, f"Circuit of {title}", interactive=True)),
        kinds={node.kind for node in nodes},
        arrows=any(mark.arrow for mark in placed.edges),
        edges=[mark.edge for mark in placed.edges],
        dropped=circuit.dropped,
        dropped_nodes=circuit.dropped_nodes,
        note=interval_note(circuit),
        looked_for=circuit.looked_for_interactions,
        nodes=[row for row in rows if not is_hollow(row[1])],
        hollow=[row for row in rows if is_hollow(row[1])],
        verification=circuit.verification,
        bars=[] if circuit.verification is None else bars(circuit.verification),
        facts=facts(circuit),
        layered=circuit.has_layers,
        metric=metric,
        places=places,
        data=_data(placed, circuit, places, metric),
    )


write = file_writer(render_page)


def render_cell(circuit: Circuit) -> str:
    """An HTML fragment that draws the circuit, without scripts or style sheets."""
    placed, places, title = layout(circuit), decimals(circuit), title_of(circuit)
    edges = strongest_first(circuit.interactions)
    count = f"the strongest {MAX_ROWS} of {len(edges)}" if len(edges) > MAX_ROWS else len(edges)
    dropped = f"; {len(circuit.dropped)} did not replicate and are left out" if circuit.dropped else ""
    return render(
        "cell.html",
        title=title,
        about=" · ".join(
            part for part in (faithfulness_text(circuit), doubt_text(circuit), budget_text(circuit)) if part
        ),
        note=interval_note(circuit),
        drawings=[("", sized(diagram(placed, f"Circuit of {title}"), placed))],
        summary=f"Interactions ({count}){dropped}" if edges else "No interactions.",
        heads=(),
        rows=[
            (" × ".join(edge.components), effect_text(edge, places), edge.relation.short) for edge in edges[:MAX_ROWS]
        ],
    )


def _data(placed: Layout, circuit: Circuit, places: int, metric: str) -> dict[str, Any]:
    """What the script needs: the parts in the diagram's order, with their numbers as they are printed."""
    strongest = max(placed.nodes, key=lambda mark: abs(mark.node.effect), default=None)
    return {
        "places": places,
        "metric": metric,
        "others": others_text(circuit),
        "measured": measured_label(circuit),
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
    found: dict[str, Any] = {
        "components": list(edge.components),
        "label": edge.relation.short,
        "sentence": edge.sentence,
        **_numbers(edge, places),
    }
    for key, table in (("table", edge.table), ("unablated", edge.unablated)):
        if table:
            found[key] = [[[int(kept) for kept in row.kept], _short(row.value)] for row in table]
    if edge.pair is not None:
        found["conditional"] = [
            [each.component, each.other, estimate_text(each.ablated, places), estimate_text(each.kept, places)]
            for each in edge.pair.conditional
        ]
    if edge.direction is not None:
        found["path"] = direction_text(edge.direction)
    return found


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _numbers(part: Node | Interaction, places: int) -> dict[str, Any]:
    measured, shown = part.measured, part.shown
    found: dict[str, Any] = {"per_prompt": [_short(value) for value in part.per_prompt]} if part.per_prompt else {}
    if not is_signed(part):
        found["signed"] = False
    if part.q is not None:
        found["q"] = f"{part.q:.2g}"
    if is_hollow(part):
        found["hollow"] = True
    return found | {
        "effect": part.effect,
        "value": effect_number(part, places),
        "interval": "" if measured is None else interval(measured.low, measured.high, places),
        "shown": "" if shown is None else interval(shown.low, shown.high, places),
        "decoded": number(part.decoded, places) if is_signed(part) else effect_number(part, places),
    }
