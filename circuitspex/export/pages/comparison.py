"""A comparison as one HTML page: both circuits and what changed, drawn with every component in one place.

It is made like the page of a circuit (``html.py``): one file, no network, and a content security policy that names its
style and its script by their hashes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import Estimate, Interaction, Node
from circuitspex.circuits.comparison import Change, Comparison
from circuitspex.export.drawing.circuit_layout import Layout
from circuitspex.export.drawing.comparison_layout import KIND_MARKS, UnionLayout, union_layout
from circuitspex.export.drawing.style import interval, number
from circuitspex.export.pages import parts as page_parts
from circuitspex.export.pages.circuit import embedded, filled, hash_of, script_of, stylesheet
from circuitspex.export.pages.svg import diagram
from circuitspex.export.tables.comparison_words import (
    KINDS,
    counts,
    estimate_text,
    metric_name,
    metric_places,
    model_names,
    places_of,
    r2_text,
    task_name,
    title_of,
    verdict,
)
from circuitspex.files import write_atomically

_SIDES = ("before", "after", "difference")


def render_page(comparison: Comparison) -> str:
    """The whole page as text."""
    style, script = stylesheet("page.css", "compare.css"), script_of("page_common.js", "compare.js")
    one, two = model_names(comparison)
    metric, task = metric_name(comparison), task_name(comparison)
    placed = union_layout(comparison)
    values = {
        "script_hash": hash_of(script),
        "style_hash": hash_of(style),
        "style": style,
        "script": script,
        "title": page_parts.text(f"{title_of(comparison)} · comparison"),
        "heading": f"{page_parts.text(one)} → {page_parts.text(two)}",
        "task": page_parts.text(f"{task} ({metric})" if task else metric),
        "verdict": page_parts.text(verdict(comparison)),
        "tiles": "" if comparison.identical else _tiles(comparison),
        "work": "" if comparison.identical else _work(comparison, placed),
        "facts": _facts(comparison),
        "footer": page_parts.text(_footer(comparison)),
        "data": embedded(_data(comparison, placed)),
    }
    return filled("compare.html", values)


def write(comparison: Comparison, path: Path) -> Path:
    """Write the page."""
    return write_atomically(path, render_page(comparison).encode("utf-8"))


def kind_cell(kind: str) -> str:
    """A kind with its shape, as HTML."""
    return f'<span class="kind {kind}"><b aria-hidden="true">{KIND_MARKS[kind]}</b>{kind}</span>'


def _tiles(comparison: Comparison) -> str:
    places, found, said = metric_places(comparison), comparison.faithfulness, counts(comparison)
    one, two = model_names(comparison)
    metric = metric_name(comparison)
    r2, _, ends = r2_text(comparison).partition(" ")
    if found.r2 is None:
        r2, ends = "–", "undefined: the difference does not vary" if found.n_masks else "not measured"
    parts = [
        (f"{metric}, before", *_ends(comparison.metric_before, places), one),
        (f"{metric}, after", *_ends(comparison.metric_after, places), two),
        (f"{metric}, difference", *_ends(comparison.metric_difference, places), ""),
        ("R² of the decoded difference", r2, ends, ""),
        (
            "Changes",
            str(len(comparison.found)),
            ", ".join(f"{KIND_MARKS[kind]} {said[kind]} {kind}" for kind in KINDS),
            "",
        ),
    ]
    return "".join(
        f'<dl class="tile"><dt>{page_parts.text(name)}</dt><dd>{page_parts.text(value)}'
        f"<small>{page_parts.text(more)}</small>{f'<small>{page_parts.text(who)}</small>' if who else ''}</dd></dl>"
        for name, value, more, who in parts
    )


def _ends(estimate: Estimate | None, places: int) -> tuple[str, str]:
    if estimate is None:
        return "–", "not measured"
    return number(estimate.value, places), interval(estimate.low, estimate.high, places)


def _work(comparison: Comparison, placed: UnionLayout) -> str:
    one, two = model_names(comparison)
    sides: tuple[tuple[str, str, Layout], ...] = (
        ("before", one, placed.before),
        ("after", two, placed.after),
        ("difference", "after minus before; ▲ gained, ▼ lost, ◆ changed", placed.difference),
    )
    panes = "".join(
        f'<figure class="pane" id="pane-{side}"><figcaption>{side.capitalize()} '
        f"<small>{page_parts.text(about)}</small></figcaption>"
        f'<div id="diagram-{side}" class="canvas" tabindex="0" role="group" aria-label="Diagram: {side}. '
        'Arrow keys move it, plus and minus zoom, 0 fits it.">'
        f"{diagram(drawn, f'{side}: {about}', interactive=True)}</div></figure>"
        for side, about, drawn in sides
    )
    kinds: set[str] = {mark.node.kind for mark in placed.before.nodes}
    legend = page_parts.legend(kinds, any(mark.arrow for _, _, drawn in sides for mark in drawn.edges))
    said = counts(comparison)
    boxes = "".join(
        f'<label><input type="checkbox" value="{kind}" checked> {KIND_MARKS[kind]} {kind} ({said[kind]})</label>'
        for kind in KINDS
    )
    values = {
        "kinds": boxes,
        "panes": panes,
        "legend": legend.replace("</ul>", "<li>Faint: not part of that circuit</li></ul>"),
        "changes": _table(comparison),
    }
    return filled("compare_work.html", values)


def _table(comparison: Comparison) -> str:
    if not comparison.changes:
        return '<p class="muted">No component or interaction was tested.</p>'
    places = places_of(comparison)
    heads = [("Components", ""), ("Kind", ""), ("Before", "n"), ("After", "n"), ("Difference", "n")]
    heads += [("95 % interval", "n"), ("Decoded", "n"), ("q", "n"), ("Order", "n")]
    return page_parts.sortable("Changes", heads, [_row(i, c, places) for i, c in enumerate(comparison.changes)])


def _row(index: int, change: Change, places: int) -> str:
    gap = change.difference
    names = " × ".join(f"<span>{page_parts.text(name)}</span>" for name in change.components)
    sides = "".join(
        f'<td class="num" data-v="{side.value:.7g}" title="{interval(side.low, side.high, places)}">'
        f"{number(side.value, places)}</td>"
        for side in (change.before, change.after)
    )
    return (
        f'<tr data-kind="change" data-index="{index}"><td class="name"><button class="link">{names}</button></td>'
        f"<td>{kind_cell(change.kind)}</td>{sides}"
        f'<td class="num" data-v="{gap.value:.7g}"><span class="{"sign negative" if gap.value < 0 else "sign"}">'
        f"{number(gap.value, places)}</span></td>"
        f'<td class="num" data-v="{gap.high - gap.low:.7g}">{interval(gap.low, gap.high, places)}</td>'
        f'<td class="num" data-v="{change.decoded:.7g}">{number(change.decoded, places)}</td>'
        f'<td class="num" data-v="{change.q:.7g}">{change.q:.2g}</td><td class="num">{change.order}</td></tr>'
    )


def _facts(comparison: Comparison) -> str:
    run, sides = comparison.run, (comparison.before, comparison.after)
    rows = [
        *((side, circuit.model.get("name")) for side, circuit in zip(("Before", "After"), sides, strict=True)),
        *((f"Weights {side}", c.model.get("identity")) for side, c in zip(("before", "after"), sides, strict=True)),
        ("Task", comparison.before.task.get("name")),
        ("Metric", comparison.before.task.get("metric")),
        ("Prompts", comparison.before.task.get("n_prompts")),
        ("Smallest difference of interest", f"{comparison.least:.3g}"),
        ("False discovery rate", f"{comparison.rate:.3g}"),
    ]
    names = ("components", "n_components", "baseline", "method", "keep", "seed", "budget", "executor")
    rows += [(name.replace("n_", "number of ").capitalize(), run.get(name)) for name in names]
    versions = run.get("versions")
    if isinstance(versions, dict):
        rows.append(("Versions", ", ".join(f"{name} {value}" for name, value in versions.items() if value)))
    said = "".join(
        f"<dt>{page_parts.text(a)}</dt><dd>{page_parts.text(b)}</dd>" for a, b in rows if b not in (None, "")
    )
    return f'<dl class="facts">{said}</dl>'


def _footer(comparison: Comparison) -> str:
    return (
        f"Effects are in units of {metric_name(comparison)}. Both models ran the same prompts under the same masks, "
        "and a difference is measured in the same contexts in both. Gained: no effect before; lost: none after; "
        "changed: an effect in both. Intervals are 95 % intervals."
    )


def _data(comparison: Comparison, placed: UnionLayout) -> dict[str, Any]:
    places = places_of(comparison)
    drawn = placed.difference
    changes = [_change(change, places) for change in comparison.changes]
    for key, indices in (("node", placed.changes_of_nodes), ("edge", placed.changes_of_edges)):
        for i, change in enumerate(indices):
            if change is not None:
                changes[change][key] = i
    strongest = max(drawn.nodes, key=lambda mark: abs(mark.node.effect), default=None)
    pairs = zip(drawn.nodes, placed.changes_of_nodes, strict=True)
    lines = zip(drawn.edges, placed.changes_of_edges, strict=True)
    return {
        "names": list(model_names(comparison)),
        "metric": metric_name(comparison),
        "places": places,
        "least": f"{comparison.least:.3g}",
        "with_effects": drawn.with_effects,
        "largest": max((abs(change.difference.value) for change in comparison.changes), default=0.0),
        "focus": None if strongest is None else [strongest.x, strongest.y],
        "nodes": [_part(mark.node, [mark.node.name], change) for mark, change in pairs],
        "edges": [_part(mark.edge, list(mark.edge.components), change) for mark, change in lines],
        "changes": changes,
    }


def _part(part: Node | Interaction, components: list[str], change: int | None) -> dict[str, Any]:
    return {
        "components": components,
        "change": change,
        "per_prompt": [float(f"{value:.5g}") for value in part.per_prompt],
    }


def _change(change: Change, places: int) -> dict[str, Any]:
    said = {side: estimate_text(getattr(change, side), places).partition(" ") for side in _SIDES}
    return {
        "components": list(change.components),
        "kind": change.kind,
        "mark": KIND_MARKS[change.kind],
        "size": change.difference.value,
        "before": said["before"][0],
        "before_interval": said["before"][2],
        "after": said["after"][0],
        "after_interval": said["after"][2],
        "difference": said["difference"][0],
        "interval": said["difference"][2],
        "decoded": number(change.decoded, places),
        "q": f"{change.q:.2g}",
    }
