"""Comparisons and series as tables for a terminal: at most 100 columns, no colours."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.comparison import Change, Comparison, Series
from circuitspex.export.drawing.style import decimals_of, printable
from circuitspex.export.tables.circuit import MAX_ROWS, WIDTH
from circuitspex.export.tables.comparison_words import (
    KINDS,
    counts,
    members,
    metric_name,
    metric_places,
    places_of,
    title_of,
    verdict,
)
from circuitspex.files import write_atomically

MAX_NAME = 40
SHOWN_POINTS = 5
"""How many checkpoints a series' table has columns for: the first, the last, and evenly between."""


def render(comparison: Comparison) -> str:
    """The comparison as text: both models, the metric, how faithful, what changed."""
    lines = _wrapped(f"Comparison: {title_of(comparison)}") + _wrapped(verdict(comparison))
    if comparison.identical:
        return _joined(lines)
    if comparison.metric_difference is not None:
        places = metric_places(comparison)
        ends = (("before", comparison.metric_before), ("after", comparison.metric_after))
        said = [f"{_estimate(end, places)} {when}" for when, end in ends if end is not None]
        gap = _estimate(comparison.metric_difference, places)
        lines += _wrapped(f"{metric_name(comparison)}: {', '.join(said)}, difference {gap}")
    if comparison.faithfulness.n_masks:
        lines += _wrapped(f"The decoded difference: {comparison.faithfulness}")
    places, said_counts = places_of(comparison), counts(comparison)
    for kind in KINDS[:3]:
        if said_counts[kind]:
            lines += ["", f"{kind.capitalize()} ({said_counts[kind]})", *_changes(comparison.of(kind), places)]
    if said_counts["unchanged"]:
        lines += ["", f"Unchanged: {said_counts['unchanged']}"]
    return _joined(lines)


def write(comparison: Comparison, path: Path) -> Path:
    """Write the table as a UTF-8 text file."""
    return write_atomically(path, render(comparison).encode("utf-8", "replace"))


def render_series(series: Series) -> str:
    """The series as text: the metric at each checkpoint, and the strongest sets at some of them."""
    about = " · ".join(printable(series.run[key]) for key in ("task", "metric") if series.run.get(key))
    n = len(series.points)
    lines = _wrapped(f"Series of {n} checkpoints{f': {about}' if about else ''}")
    if not n:
        return _joined(lines)
    places = decimals_of([point.metric.value for point in series.points])
    rows = [("checkpoint", "metric", "95 % interval", "same weights as")]
    for point in series.points:
        between = f"[{point.metric.low:+.{places}f}, {point.metric.high:+.{places}f}]"
        same = printable(series.same_as.get(point.name, ""))
        rows.append((_cut(point.name, MAX_NAME), f"{point.metric.value:+.{places}f}", between, _cut(same, 24)))
    lines += ["", *_table(rows, right={1, 2})]
    if not series.sets:
        return _joined([*lines, "", "No component or interaction was measured."])
    shown = sorted({round(i * (n - 1) / max(1, min(n, SHOWN_POINTS) - 1)) for i in range(min(n, SHOWN_POINTS))})
    largest = [max(abs(point.effects[i].value) for point in series.points) for i in range(len(series.sets))]
    order = sorted(range(len(series.sets)), key=lambda i: (-largest[i], series.sets[i]))
    places = decimals_of(largest)
    table = [("set", *(_cut(series.points[p].name, 11) for p in shown))]
    for i in order[:MAX_ROWS]:
        name = _cut(" × ".join(series.sets[i]), MAX_NAME - 8)
        table.append((name, *(_mark(series.points[p].effects[i], places) for p in shown)))
    lines += ["", f"Effects ({len(series.sets)}); * where the interval excludes zero"]
    lines += _table(table, right=set(range(1, len(shown) + 1)))
    if len(order) > MAX_ROWS:
        lines.append(f"  … and {len(order) - MAX_ROWS} weaker")
    return _joined(lines)


def write_series(series: Series, path: Path) -> Path:
    """Write the table as a UTF-8 text file."""
    return write_atomically(path, render_series(series).encode("utf-8", "replace"))


def _changes(changes: Sequence[Change], places: int) -> list[str]:
    rows: list[tuple[str, ...]] = [("", "before", "after", "difference", "95 % interval", "q")]
    for change in changes[:MAX_ROWS]:
        sides = (f"{side.value:+.{places}f}" for side in (change.before, change.after, change.difference))
        gap = change.difference
        between = f"[{gap.low:+.{places}f}, {gap.high:+.{places}f}]"
        rows.append((_cut(members(change), MAX_NAME), *sides, between, f"{change.q:.2g}"))
    lines = _table(rows, right={1, 2, 3, 4, 5})
    return [*lines, f"  … and {len(changes) - MAX_ROWS} smaller"] if len(changes) > MAX_ROWS else lines


def _table(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    spare = WIDTH - 2 - 2 * (len(widths) - 1) - sum(widths[1:])
    widths[0] = max(1, min(widths[0], spare))
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else _cut(cell, width).ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(cells))[:WIDTH])
    lines.insert(1, ("  " + "  ".join("-" * width for width in widths))[:WIDTH])
    return lines


def _mark(estimate: Estimate, places: int) -> str:
    return f"{estimate.value:+.{places}f}{'*' if estimate.excludes_zero else ' '}"


def _estimate(estimate: Estimate, places: int) -> str:
    return f"{estimate.value:+.{places}f} [{estimate.low:+.{places}f}, {estimate.high:+.{places}f}]"


def _cut(text: str, width: int) -> str:
    line = printable(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ") or [""]
