"""The circuit as one HTML page that can be mailed, hosted or opened from a disk, and as a cell's output in a notebook.

The page is a place to work: diagram, heat map, a card for each component and pair, pins, notes. The cell has an inline
diagram and a short table; it works in notebooks that are not trusted, in light and dark themes, and any number of times
in one document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from circuitspex.circuits.about import Breakdown
from circuitspex.circuits.circuit import Circuit, Estimate
from circuitspex.export.drawing.circuit_layout import layout
from circuitspex.export.drawing.claims import doubt_text, interval_note, is_hollow
from circuitspex.export.drawing.edge_layout import edge_layout
from circuitspex.export.drawing.edge_parts import is_of_edges
from circuitspex.export.drawing.group_marks import place_groups
from circuitspex.export.drawing.style import (
    budget_text,
    decimals,
    decimals_of,
    effect_text,
    faithfulness_text,
    reading_order,
    title_of,
)
from circuitspex.export.pages import edges
from circuitspex.export.pages.circuit_data import data, groups_of
from circuitspex.export.pages.parts import MAX_ROWS, bars, drawn_rows, facts, strongest_first, tiles
from circuitspex.export.pages.rendering import page, render, sized
from circuitspex.export.pages.story import story
from circuitspex.export.pages.svg import diagram
from circuitspex.export.pages.trust import checks
from circuitspex.export.words.relations import short
from circuitspex.export.words.saying import say
from circuitspex.files import file_writer
from circuitspex.text import printable

STYLES = ("work.css", "card.css")
SCRIPTS = (
    "page_common.js",
    "bars.js",
    "prompt_words.js",
    "state.js",
    "component_card.js",
    "pair_card.js",
    "cards.js",
    "heatmap.js",
    "folding.js",
    "downloads.js",
    "page.js",
)

MOST_PARTS = 14
"""So many parts of the logit difference stand by themselves."""


def render_page(circuit: Circuit) -> str:
    """The whole page as text."""
    if is_of_edges(circuit):
        return edges.render_page(circuit)
    placed, places, title = layout(circuit), decimals(circuit), title_of(circuit)
    nodes, example = [mark.node for mark in placed.nodes], circuit.task.get("example")
    shown = example if isinstance(example, Mapping) else {}
    rows = sorted(enumerate(nodes), key=lambda row: (-abs(row[1].effect), row[1].name))
    metric = printable(circuit.task.get("metric") or say("page.metric"))
    found = checks(circuit)
    groups = groups_of(circuit)
    boxes = place_groups(circuit, placed, groups)
    given = data(placed, circuit, places, metric, groups)
    return page(
        "circuit.html",
        STYLES,
        SCRIPTS,
        title=title,
        example={key: shown.get(key) for key in ("prompt", "answer", "wrong_answer", "counterfactual")},
        tiles=tiles(circuit, places),
        checks=found,
        good=all(check.state == "good" for check in found),
        story=story(circuit, places),
        breakdown=_breakdown(circuit),
        heat=given["heat"],
        groups=given["groups"],
        letters=[box.letter for box in boxes],
        diagram=Markup(diagram(placed, say("circuit.picture", title=title), interactive=True, groups=boxes)),
        kinds={node.kind for node in nodes},
        arrows=any(mark.arrow for mark in placed.edges),
        edges=[mark.edge for mark in placed.edges],
        dropped=circuit.dropped,
        dropped_nodes=circuit.dropped_nodes,
        index_of={node.name: i for i, node in enumerate(nodes)},
        heat_text=_heat_text(given["heat"]),
        ranks={node.name: rank for rank, node in enumerate(sorted(nodes, key=reading_order))},
        note=interval_note(circuit),
        looked_for=circuit.looked_for_interactions,
        nodes=[row for row in rows if not is_hollow(row[1])],
        hollow=[row for row in rows if is_hollow(row[1])],
        verification=circuit.verification,
        bars=[] if circuit.verification is None else bars(circuit.verification),
        facts=facts(circuit),
        layered=circuit.has_layers,
        of_edges=False,
        metric=metric,
        places=places,
        data=given,
    )


write = file_writer(render_page)


def _heat_text(heat: Mapping[str, Any] | None) -> str:
    """What the legend says of the heat map."""
    if heat is None:
        return ""
    return say("circuit.heat_recorded") if heat["recorded"] else say("circuit.heat")


def _breakdown(circuit: Circuit) -> list[dict[str, Any]]:
    """The parts of the logit difference, the largest first, then what no part holds and the sum of all; as bars."""
    found: Breakdown | None = None if circuit.description is None else circuit.description.breakdown
    if found is None:
        return []
    parts = sorted(found.parts, key=lambda part: -abs(part.value.value))
    rows: list[tuple[str, float | Estimate]] = [(part.name, part.value) for part in parts[:MOST_PARTS]]
    colours = ["negative" if part.value.value < 0 else "positive" for part in parts[:MOST_PARTS]]
    if rest := [part.value.value for part in parts[MOST_PARTS:]]:
        rows.append((say("circuit.smaller_parts", n=len(rest)), sum(rest)))
        colours.append("muted")
    rows += [(say("circuit.remainder"), found.remainder), (say("circuit.all_together"), found.total)]
    colours += ["muted", "muted"]
    return drawn_rows(rows, colours, decimals_of([found.total.value]))


def render_cell(circuit: Circuit) -> str:
    """An HTML fragment that draws the circuit, without scripts or style sheets."""
    places, title = decimals(circuit), title_of(circuit)
    if is_of_edges(circuit):
        found = edge_layout(circuit)
        drawing = sized(edges.picture(found, say("circuit.picture", title=title)), found)
    else:
        placed = layout(circuit)
        drawing = sized(diagram(placed, say("circuit.picture", title=title)), placed)
    strongest = strongest_first(circuit.interactions)
    count = say("notebook.interactions", n=len(strongest))
    if len(strongest) > MAX_ROWS:
        count = say("notebook.interactions_some", n=MAX_ROWS, all=len(strongest))
    dropped = say("notebook.dropped", n=len(circuit.dropped)) if circuit.dropped else ""
    return render(
        "cell.html",
        title=title,
        about=" · ".join(
            part for part in (faithfulness_text(circuit), doubt_text(circuit), budget_text(circuit)) if part
        ),
        note=interval_note(circuit),
        drawings=[("", drawing)],
        summary="; ".join(part for part in (count, dropped) if part) if strongest else say("notebook.no_interactions"),
        heads=(),
        rows=[(" × ".join(edge.components), effect_text(edge, places), short(edge)) for edge in strongest[:MAX_ROWS]],
    )
