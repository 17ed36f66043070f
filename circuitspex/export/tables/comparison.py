"""Comparisons and series as tables for a terminal: at most 100 columns, no colours."""

from __future__ import annotations

from collections.abc import Sequence

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.comparison import Change, Comparison, Series
from circuitspex.export.drawing.claims import few_text
from circuitspex.export.drawing.style import decimals_of
from circuitspex.export.tables.columns import MAX_ROWS, in_columns, joined, left_out, shortened, wrapped
from circuitspex.export.tables.comparison_words import (
    KINDS,
    counts,
    members,
    metric_name,
    metric_places,
    note_of,
    places_of,
    title_of,
    verdict,
)
from circuitspex.files import file_writer
from circuitspex.text import printable

MAX_NAME = 40
SHOWN_POINTS = 5
"""How many checkpoints a series' table has columns for: the first, the last, and evenly between."""


def render(comparison: Comparison) -> str:
    """The comparison as text: both models, the metric, how faithful, what changed."""
    lines = wrapped(f"Comparison: {title_of(comparison)}") + wrapped(verdict(comparison))
    if comparison.identical:
        return joined(lines)
    if comparison.metric_difference is not None:
        places = metric_places(comparison)
        ends = (("before", comparison.metric_before), ("after", comparison.metric_after))
        said = [f"{end:z.{places}f} {when}" for when, end in ends if end is not None]
        said.append(f"difference {comparison.metric_difference:z.{places}f}")
        lines += wrapped(f"{metric_name(comparison)}: {', '.join(said)}")
    if comparison.faithfulness.n_masks:
        lines += wrapped(f"The decoded difference: {comparison.faithfulness}")
    places, said_counts = places_of(comparison), counts(comparison)
    for kind in KINDS[:-1]:
        if said_counts[kind]:
            lines += ["", f"{kind.capitalize()} ({said_counts[kind]})", *_changes(comparison.of(kind), places)]
    if said_counts["unchanged"]:
        lines += ["", f"Unchanged: {said_counts['unchanged']}"]
    if note_of(comparison):
        lines += ["", *wrapped(note_of(comparison))]
    return joined(lines)


write = file_writer(render)


def render_series(series: Series) -> str:
    """The series as text: the metric at each checkpoint, and the strongest sets at some of them."""
    about = " · ".join(printable(series.run[key]) for key in ("task", "metric") if series.run.get(key))
    n = len(series.points)
    lines = wrapped(f"Series of {n} checkpoints{f': {about}' if about else ''}")
    if not n:
        return joined(lines)
    places = decimals_of([point.metric.value for point in series.points])
    rows = [("checkpoint", "metric", "95 % interval", "same weights as")]
    for point in series.points:
        value, _, between = f"{point.metric:z.{places}f}".partition(" ")
        same = shortened(series.same_as.get(point.name, ""), 24)
        rows.append((shortened(point.name, MAX_NAME), value, between, same))
    lines += ["", *in_columns(rows, right=(1, 2))]
    if not series.sets:
        return joined([*lines, "", "No component or interaction was measured."])
    shown = sorted({round(i * (n - 1) / max(1, min(n, SHOWN_POINTS) - 1)) for i in range(min(n, SHOWN_POINTS))})
    largest = [max(abs(point.effects[i].value) for point in series.points) for i in range(len(series.sets))]
    order = sorted(range(len(series.sets)), key=lambda i: (-largest[i], series.sets[i]))
    places = decimals_of(largest)
    table = [("set", *(shortened(series.points[p].name, 11) for p in shown))]
    for i in order[:MAX_ROWS]:
        name = shortened(" × ".join(series.sets[i]), MAX_NAME - 8)
        table.append((name, *(_mark(series.points[p].effects[i], places) for p in shown)))
    count = series.run.get("n_prompts")
    few = f"; {count} prompts, few" if isinstance(count, int) and few_text(count) else ""
    lines += ["", f"Effects ({len(series.sets)}); * where the 95 % interval excludes zero{few}"]
    lines += in_columns(table, right=range(1, len(shown) + 1))
    return joined([*lines, *left_out(len(order), "weaker")])


write_series = file_writer(render_series)


def _changes(changes: Sequence[Change], places: int) -> list[str]:
    rows: list[tuple[str, ...]] = [("", "before", "after", "difference", "95 % interval", "q")]
    for change in changes[:MAX_ROWS]:
        sides = (f"{side.value:+z.{places}f}" for side in (change.before, change.after, change.difference))
        between = f"{change.difference:z.{places}f}".partition(" ")[2]
        rows.append((shortened(members(change), MAX_NAME), *sides, between, f"{change.q:.2g}"))
    return in_columns(rows, right=range(1, 6)) + left_out(len(changes), "smaller")


def _mark(estimate: Estimate, places: int) -> str:
    return f"{estimate.value:+z.{places}f}{'*' if estimate.excludes_zero else ' '}"
