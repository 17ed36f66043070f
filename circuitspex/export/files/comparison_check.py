"""What is wrong with the content of a comparison's or a series' file, in one line that names the place.

First the JSON Schema (``comparison.schema.json``), then what it can't say: the circuits inside are valid, intervals are
the right way round, every checkpoint has an effect for every set.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

from circuitspex.export.files import circuit_check
from circuitspex.export.files.circuit_check import short

CIRCUITS = ("before", "after", "difference")


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a comparison; that of a series is its ``$defs/series``."""
    text = resources.files("circuitspex.export.files").joinpath("comparison.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a comparison's content, in one line; None where nothing is."""
    problem = _schema_problem(data, "comparison")
    if problem:
        return problem
    for side in CIRCUITS:
        problem = circuit_check.problem_of(data[side])
        if problem:
            return f"{side}: {problem}"
    seen: set[frozenset[str]] = set()
    for i, change in enumerate(data["changes"]):
        members = frozenset(change["components"])
        if members in seen:
            return f"changes[{i}]: the change of {', '.join(change['components'])} is there twice"
        seen.add(members)
    return _upside_down(data)


def problem_of_series(data: dict[str, Any]) -> str | None:
    """What is wrong with a series' content, in one line; None where nothing is."""
    problem = _schema_problem(data, "series")
    if problem:
        return problem
    names = [point["name"] for point in data["points"]]
    for i, point in enumerate(data["points"]):
        if len(point["effects"]) != len(data["sets"]):
            return f"points[{i}].effects has {len(point['effects'])} effects; there are {len(data['sets'])} sets"
    for name, earlier in data["same_as"].items():
        for one in (name, earlier):
            if one not in names:
                return f"same_as names {short(one)}, which is not one of the checkpoints"
    return _upside_down(data)


def _upside_down(data: dict[str, Any]) -> str | None:
    for where, found in _estimates({key: value for key, value in data.items() if key not in (*CIRCUITS, "run")}, ""):
        if found["low"] > found["high"]:
            return f"{where}: the interval's low end {found['low']} is above its high end {found['high']}"
    return None


def _estimates(value: Any, where: str) -> Iterator[tuple[str, dict[str, float]]]:
    if isinstance(value, dict):
        if set(value) == {"value", "low", "high"}:
            yield where, value
        for key, inner in value.items():
            yield from _estimates(inner, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _estimates(inner, f"{where}[{i}]")


def _schema_problem(data: dict[str, Any], kind: str) -> str | None:
    from jsonschema.exceptions import best_match

    error = best_match(_validator(kind).iter_errors(data))
    if error is None:
        return None
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    where = "".join(steps).lstrip(".") or "the top level"
    allowed, found = error.validator_value, short(error.instance)
    if error.validator == "required":
        missing = [key for key in allowed if key not in error.instance]
        return f"{where} lacks {', '.join(map(repr, missing))}; it must have {', '.join(allowed)}"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = [key for key in error.instance if key not in known]
        return f"{where} has the unknown field {short(extra[0])}; allowed are {', '.join(known)}"
    said = {
        "type": f"must be {allowed if isinstance(allowed, str) else ' or '.join(map(str, allowed or ()))}"
        if error.validator == "type"
        else "",
        "enum": f"must be one of {short(allowed)}",
        "const": f"must be {allowed!r}",
        "minimum": f"must be at least {allowed}",
        "minItems": f"must have at least {allowed} component",
        "pattern": "must be a component such as L5H1, L5M or L5N0:64",
        "uniqueItems": "must not name a component twice",
    }
    return f"{where} {said.get(error.validator) or 'is not allowed'}, not {found}"


@functools.cache
def _validator(kind: str) -> Any:
    from jsonschema import Draft202012Validator

    whole = schema()
    return Draft202012Validator(whole if kind == "comparison" else {**whole["$defs"][kind], "$defs": whole["$defs"]})
