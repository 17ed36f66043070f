"""A comparison as one HTML page: both circuits and what changed, drawn with every component in one place.

In a notebook it is the three diagrams and the largest changes, without scripts or style sheets.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from circuitspex.circuits.circuit import Estimate, Interaction, Node
from circuitspex.circuits.comparison import Change, Comparison
from circuitspex.export.drawing.circuit_layout import Layout
from circuitspex.export.drawing.comparison_layout import KIND_MARKS, UnionLayout, union_layout
from circuitspex.export.drawing.style import interval, number
from circuitspex.export.pages.parts import MAX_ROWS, Facts, pairs, said
from circuitspex.export.pages.rendering import page, render, sized
from circuitspex.export.pages.svg import diagram
from circuitspex.export.tables.comparison_words import (
    KINDS,
    counts,
    estimate_text,
    members,
    metric_name,
    metric_places,
    model_names,
    note_of,
    places_of,
    r2_parts,
    task_name,
    title_of,
    verdict,
)
from circuitspex.export.words.relations import sentence
from circuitspex.export.words.saying import say, say_term
from circuitspex.files import file_writer

_SIDES = ("before", "after", "difference")


def render_page(comparison: Comparison) -> str:
    """The whole page as text."""
    metric, task, placed = metric_name(comparison), task_name(comparison), union_layout(comparison)
    about = (*model_names(comparison), say("comparison.minus"))
    drawn: list[tuple[str, str, Layout]] = [
        (side, a, getattr(placed, side)) for side, a in zip(_SIDES, about, strict=True)
    ]
    return page(
        "comparison.html",
        ["compare.css"],
        ["page_common.js", "compare.js"],
        title=title_of(comparison),
        names=model_names(comparison),
        task=f"{task} ({metric})" if task else metric,
        metric=metric,
        note=note_of(comparison),
        verdict=verdict(comparison),
        identical=comparison.identical,
        tiles=[] if comparison.identical else _tiles(comparison),
        sides=[
            {
                "name": side,
                "word": say(f"comparison.side.{side}"),
                "about": about,
                "diagram": Markup(diagram(one, _spoken(side, about), True)),
            }
            for side, about, one in drawn
        ],
        counts=counts(comparison),
        kinds={mark.node.kind for mark in placed.before.nodes},
        arrows=any(mark.arrow for _, _, one in drawn for mark in one.edges),
        changes=comparison.changes,
        places=places_of(comparison),
        facts=_facts(comparison),
        data=_data(comparison, placed),
    )


write = file_writer(render_page)


def render_cell(comparison: Comparison) -> str:
    """An HTML fragment that draws the comparison, without scripts or style sheets."""
    drawings = []
    if not comparison.identical and (comparison.before.nodes or comparison.after.nodes):
        one, two = model_names(comparison)
        placed = union_layout(comparison)
        for side, about in (("difference", ""), ("before", one), ("after", two)):
            caption, drawn = f"{say(f'comparison.side.{side}')} {about}".rstrip(), getattr(placed, side)
            drawings.append((caption, sized(diagram(drawn, caption), drawn)))
    places, n = places_of(comparison), len(comparison.found)
    return render(
        "cell.html",
        title=title_of(comparison),
        about=verdict(comparison),
        drawings=drawings,
        summary=_summary(n),
        heads=("", say("comparison.kind_column"), *(say(f"terms.side.{side}") for side in _SIDES)),
        rows=[
            (
                members(change),
                f"{KIND_MARKS[change.kind]} {say_term('change', change.kind)}",
                *(estimate_text(getattr(change, side), places) for side in _SIDES),
            )
            for change in comparison.found[:MAX_ROWS]
        ],
    )


def _spoken(side: str, about: str) -> str:
    return f"{say(f'terms.side.{side}')}: {about}"


def _summary(n: int) -> str:
    if n > MAX_ROWS:
        return say("comparison.changes_some", n=MAX_ROWS, all=n)
    return say("comparison.changes_count", n=n) if n else ""


def _tiles(comparison: Comparison) -> list[tuple[str, ...]]:
    places, found, n_of = metric_places(comparison), comparison.faithfulness, counts(comparison)
    one, two = model_names(comparison)
    metric = metric_name(comparison)
    r2, ends = r2_parts(comparison)
    if found.r2 is None:
        r2, ends = "–", say("comparison.r2_undefined") if found.n_masks else say("facts.not_measured")
    kinds = ", ".join(f"{KIND_MARKS[kind]} {n_of[kind]} {say_term('change', kind)}" for kind in KINDS)
    return [
        (say("comparison.metric_before", metric=metric), *_ends(comparison.metric_before, places), one),
        (say("comparison.metric_after", metric=metric), *_ends(comparison.metric_after, places), two),
        (say("comparison.metric_difference", metric=metric), *_ends(comparison.metric_difference, places)),
        (say("comparison.r2_title"), r2, ends),
        (say("comparison.changes"), str(len(comparison.found)), kinds),
    ]


def _ends(estimate: Estimate | None, places: int) -> tuple[str, str]:
    if estimate is None:
        return "–", say("facts.not_measured")
    return number(estimate.value, places), interval(estimate.low, estimate.high, places)


def _facts(comparison: Comparison) -> Facts:
    run, task = comparison.run, comparison.before.task
    before, after = comparison.before.model, comparison.after.model
    return said(
        (say("comparison.side.before"), before.get("name")),
        (say("comparison.side.after"), after.get("name")),
        (say("comparison.weights_before"), before.get("identity")),
        (say("comparison.weights_after"), after.get("identity")),
        (say("facts.task"), task.get("name")),
        (say("facts.metric"), task.get("metric")),
        (say("facts.prompts"), task.get("n_prompts")),
        (say("comparison.least"), f"{comparison.min_effect:.3g}"),
        (say("comparison.rate"), f"{comparison.fdr:.3g}"),
        (say("facts.components"), run.get("components")),
        (say("comparison.n_components"), run.get("n_components")),
        (say("facts.baseline"), run.get("baseline")),
        (say("facts.method"), run.get("method")),
        (say("facts.share_kept"), run.get("keep")),
        (say("facts.seed"), run.get("seed")),
        (say("facts.budget"), run.get("budget")),
        (say("facts.executor"), run.get("executor")),
        (say("facts.versions"), pairs(run.get("versions"))),
    )


def _data(comparison: Comparison, placed: UnionLayout) -> dict[str, Any]:
    places = places_of(comparison)
    drawn = placed.difference
    changes = [{**_change(change, places), **_relations(change, comparison)} for change in comparison.changes]
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
        "least": f"{comparison.min_effect:.3g}",
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
    said: dict[str, str] = {}
    for side, name in zip(_SIDES, ("before_interval", "after_interval", "interval"), strict=True):
        said[side], _, said[name] = estimate_text(getattr(change, side), places).partition(" ")
    return {
        "components": list(change.components),
        "kind": change.kind,
        "word": say_term("change", change.kind),
        "mark": KIND_MARKS[change.kind],
        "size": change.difference.value,
        **said,
        "decoded": number(change.decoded, places),
        "q": f"{change.q:.2g}",
    }


def _relations(change: Change, comparison: Comparison) -> dict[str, list[str]]:
    """What the components of an interaction do to each other in the first model, and in the second."""
    found = [
        next((sentence(one) for one in circuit.interactions if one.components == change.components), "–")
        for circuit in (comparison.before, comparison.after)
    ]
    return {"relations": found} if any(sentence != "–" for sentence in found) else {}
