"""Comparisons and series as files: JSON that carries everything and is checked both ways, and CSV tables.

The JSON is described by ``compare.schema.json`` beside this module; the circuits inside a comparison are those of
``circuit.json``. The CSV is RFC 4180 with numbers that read back exactly, and safe in spreadsheets.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from circuitspex.circuits.circuit import Estimate, Faithfulness
from circuitspex.circuits.comparison import Change, Comparison, Point, Series
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.files import circuit as json_file
from circuitspex.export.files.circuit_check import short
from circuitspex.export.files.comparison_check import problem_of, problem_of_series
from circuitspex.export.graphs.csv import safe
from circuitspex.files import write_atomically

FORMAT = "circuitspex.comparison"
SERIES_FORMAT = "circuitspex.series"
VERSION = 1

T = TypeVar("T")


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as a JSON object that keeps to the schema.

    Raises:
        UserError: something in it has no place in the file: NaN, an edge without its node, not plain JSON.
    """
    data = {
        "format": FORMAT,
        "version": VERSION,
        "identical": bool(comparison.identical),
        "least": _plain(comparison.least, "least"),
        "rate": _plain(comparison.rate, "rate"),
        "faithfulness": _plain(asdict(comparison.faithfulness), "faithfulness"),
        "metric_before": _ends(comparison.metric_before, "metric_before"),
        "metric_after": _ends(comparison.metric_after, "metric_after"),
        "metric_difference": _ends(comparison.metric_difference, "metric_difference"),
        "run": _plain(comparison.run, "run", sort=True),
        "changes": _plain([asdict(change) for change in comparison.changes], "changes"),
        "before": json_file.to_json(comparison.before),
        "after": json_file.to_json(comparison.after),
        "difference": json_file.to_json(comparison.difference),
    }
    return _checked(data, problem_of(data), "comparison")


def from_json(data: Any) -> Comparison:
    """The comparison of a JSON object that ``to_json`` gave.

    Raises:
        FileFormatError: one line that says what is wrong and what is allowed.
    """
    _check_version(data, FORMAT, "comparison")
    problem = problem_of(data)
    if problem:
        raise FileFormatError(problem)
    score = data["faithfulness"]
    return Comparison(
        identical=data["identical"],
        changes=tuple(_change(change) for change in data["changes"]),
        before=json_file.from_json(data["before"]),
        after=json_file.from_json(data["after"]),
        difference=json_file.from_json(data["difference"]),
        faithfulness=Faithfulness(
            _number(score["r2"]), _number(score["low"]), _number(score["high"]), int(score["n_masks"])
        ),
        least=float(data["least"]),
        rate=float(data["rate"]),
        metric_before=_optional(data["metric_before"]),
        metric_after=_optional(data["metric_after"]),
        metric_difference=_optional(data["metric_difference"]),
        run=data["run"],
    )


def write(comparison: Comparison, path: Path) -> Path:
    """Write the comparison as JSON, whole or not at all."""
    return write_atomically(path, _dumps(to_json(comparison)))


def read(path: Path) -> Comparison:
    """Read a comparison.

    Raises:
        FileFormatError: the file is missing, damaged, of another format, or of a newer version.
    """
    return _read(path, from_json, "comparison")


def series_to_json(series: Series) -> dict[str, Any]:
    """The series as a JSON object that keeps to the schema.

    Raises:
        UserError: something in it has no place in the file.
    """
    data = {
        "format": SERIES_FORMAT,
        "version": VERSION,
        "sets": _plain(series.sets, "sets"),
        "points": _plain([asdict(point) for point in series.points], "points"),
        "same_as": _plain(series.same_as, "same_as", sort=True),
        "run": _plain(series.run, "run", sort=True),
    }
    return _checked(data, problem_of_series(data), "series")


def series_from_json(data: Any) -> Series:
    """The series of a JSON object that ``series_to_json`` gave.

    Raises:
        FileFormatError: one line that says what is wrong and what is allowed.
    """
    _check_version(data, SERIES_FORMAT, "series")
    problem = problem_of_series(data)
    if problem:
        raise FileFormatError(problem)
    points = (
        Point(point["name"], point["identity"], _estimate(point["metric"]), tuple(map(_estimate, point["effects"])))
        for point in data["points"]
    )
    return Series(tuple(map(tuple, data["sets"])), tuple(points), data["same_as"], data["run"])


def write_series(series: Series, path: Path) -> Path:
    """Write the series as JSON, whole or not at all."""
    return write_atomically(path, _dumps(series_to_json(series)))


def read_series(path: Path) -> Series:
    """Read a series.

    Raises:
        FileFormatError: the file is missing, damaged, of another format, or of a newer version.
    """
    return _read(path, series_from_json, "series")


def write_csv(comparison: Comparison, path: Path) -> Path:
    """Write the table of changes: members in columns of their own, kind, and the numbers in both models."""
    width = max([1, *(change.order for change in comparison.changes)])
    ends = [f"{side}{end}" for side in ("before", "after", "difference") for end in ("", "_low", "_high")]
    heads = [*(f"component_{i + 1}" for i in range(width)), "order", "kind", *ends, "decoded", "q"]
    rows = []
    for change in comparison.changes:
        members = [safe(name) for name in change.components] + [""] * (width - change.order)
        numbers = [*_three(change.before), *_three(change.after), *_three(change.difference), change.decoded, change.q]
        rows.append([*members, str(change.order), change.kind, *(repr(float(number)) for number in numbers)])
    return write_atomically(path, _csv(heads, rows))


def write_series_csv(series: Series, path: Path) -> Path:
    """Write the series in long form: for each checkpoint a row with the metric, and a row for each set."""
    heads = ["checkpoint", "identity", "same_as", "what", "components", "order", "value", "low", "high"]
    rows = []
    for point in series.points:
        about = [safe(point.name), safe(point.identity), safe(series.same_as.get(point.name, ""))]
        rows.append([*about, "metric", "", "0", *(repr(float(end)) for end in _three(point.metric))])
        for members, effect in zip(series.sets, point.effects, strict=True):
            ends = (repr(float(end)) for end in _three(effect))
            rows.append([*about, "effect", safe(" × ".join(members)), str(len(members)), *ends])
    return write_atomically(path, _csv(heads, rows))


def _three(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _csv(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\r\n")
    table.writerow(heads)
    table.writerows(rows)
    return file.getvalue().encode("utf-8", "replace")


def _plain(value: Any, path: str, sort: bool = False) -> Any:
    return json_file._plain(value, path, sort)


def _ends(estimate: Estimate | None, path: str) -> Any:
    return None if estimate is None else _plain(asdict(estimate), path)


def _checked(data: dict[str, Any], problem: str | None, kind: str) -> dict[str, Any]:
    if problem:
        raise UserError(f"this {kind} can't be written as JSON: {problem}")
    return data


def _dumps(data: dict[str, Any]) -> bytes:
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    if any("\ud800" <= character <= "\udfff" for character in text):  # half a surrogate pair has no UTF-8
        text = json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _read(path: Path, build: Callable[[Any], T], kind: str) -> T:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise FileFormatError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"{path}: not a {kind} file: it is not UTF-8 text") from None
    except OSError as error:
        raise FileFormatError(f"{path}: can't be read: {error.strerror or error}") from error
    try:
        data = json.loads(text, parse_constant=json_file._refuse_number, parse_float=json_file._finite)
    except json.JSONDecodeError as error:
        detail = "it is empty" if not text.strip() else f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise FileFormatError(f"{path}: not JSON, or cut short ({detail})") from None
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: {error}") from None
    try:
        return build(data)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except OverflowError:
        raise FileFormatError(f"{path}: holds a number that is too large") from None


def _check_version(data: Any, form: str, kind: str) -> None:
    if not isinstance(data, dict) or data.get("format") != form:
        raise FileFormatError(f"not a {kind} file: \"format\" must be '{form}'")
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileFormatError(f'"version" must be a whole number from 1 to {VERSION}, not {short(version)}')
    if version > VERSION:
        raise FileFormatError(
            f"was written by a newer circuitspex (version {version}; this one reads up to {VERSION}); upgrade it"
        )


def _change(data: dict[str, Any]) -> Change:
    return Change(
        components=tuple(data["components"]),
        before=_estimate(data["before"]),
        after=_estimate(data["after"]),
        difference=_estimate(data["difference"]),
        decoded=float(data["decoded"]),
        q=float(data["q"]),
        kind=data["kind"],
    )


def _estimate(data: dict[str, float]) -> Estimate:
    return Estimate(float(data["value"]), float(data["low"]), float(data["high"]))


def _optional(data: dict[str, float] | None) -> Estimate | None:
    return None if data is None else _estimate(data)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
