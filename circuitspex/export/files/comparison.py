"""Comparisons and series as JSON (``comparison.schema.json``, ``comparison_check``), and as CSV tables.

The circuits inside a comparison are those of ``circuit.json``. The CSV is RFC 4180 with numbers that read back exactly,
and safe in spreadsheets.
"""

from __future__ import annotations

from pathlib import Path

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.comparison import Comparison, Series
from circuitspex.export.files.codec import JsonForm
from circuitspex.export.files.comparison_check import problem_of, problem_of_series, schema
from circuitspex.export.graphs.csv import table
from circuitspex.files import write_atomically
from circuitspex.text import cell

COMPARISON = JsonForm(
    Comparison,
    "circuitspex.comparison",
    2,
    problem_of,
    renamed={"min_effect": "least", "fdr": "rate"},
    order=schema()["properties"],
)
SERIES = JsonForm(Series, "circuitspex.series", 1, problem_of_series)
to_json, from_json, write, read = COMPARISON.to_json, COMPARISON.from_json, COMPARISON.write, COMPARISON.read
series_to_json, write_series, read_series = SERIES.to_json, SERIES.write, SERIES.read


def write_csv(comparison: Comparison, path: Path) -> Path:
    """Write the table of changes: members in columns of their own, kind, and the numbers in both models."""
    width = max([1, *(change.order for change in comparison.changes)])
    ends = [f"{side}{end}" for side in ("before", "after", "difference") for end in ("", "_low", "_high")]
    heads = [*(f"component_{i + 1}" for i in range(width)), "order", "kind", *ends, "decoded", "q"]
    rows = []
    for change in comparison.changes:
        members = [cell(name) for name in change.components] + [""] * (width - change.order)
        numbers = [*_three(change.before), *_three(change.after), *_three(change.difference), change.decoded, change.q]
        rows.append([*members, str(change.order), change.kind, *(repr(float(number) + 0.0) for number in numbers)])
    return write_atomically(path, table(heads, rows).encode("utf-8", "replace"))


def write_series_csv(series: Series, path: Path) -> Path:
    """Write the series in long form: for each checkpoint a row with the metric, and a row for each set."""
    heads = ["checkpoint", "identity", "same_as", "what", "components", "order", "value", "low", "high"]
    rows = []
    for point in series.points:
        about = [cell(point.name), cell(point.identity), cell(series.same_as.get(point.name, ""))]
        rows.append([*about, "metric", "", "0", *(repr(float(end) + 0.0) for end in _three(point.metric))])
        for members, effect in zip(series.sets, point.effects, strict=True):
            ends = (repr(float(end) + 0.0) for end in _three(effect))
            rows.append([*about, "effect", cell(" × ".join(members)), str(len(members)), *ends])
    return write_atomically(path, table(heads, rows).encode("utf-8", "replace"))


def _three(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high
