"""What is wrong with the content of a comparison's or a series' file, in one line that names the place.

First the JSON Schema (``comparison.schema.json``), then what it can't say: the circuits inside are valid, intervals are
the right way round, every checkpoint has an effect for every set.
"""

from __future__ import annotations

from typing import Any

from circuitspex.errors import UserError
from circuitspex.export import schemas
from circuitspex.export.files.circuit import CIRCUIT
from circuitspex.export.files.circuit_check import component_named, outside, too_many, twice, unlikely_r2
from circuitspex.strict_json import short

CIRCUITS = ("before", "after", "difference")
_SCHEMA = "comparison.schema.json"


def schema() -> dict[str, Any]:
    """The JSON Schema of a comparison; that of a series is its ``$defs/series``."""
    return schemas.load("files", _SCHEMA)


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a comparison's content, in one line; None where nothing is."""
    problem = too_many(data, "changes") or schemas.problem_of(data, "files", _SCHEMA)
    if problem:
        return problem
    for side in CIRCUITS:
        problem = CIRCUIT.problem_of(data[side])
        if problem:
            return f"{side}: {problem}"
    problem = _strange("changes", [change["components"] for change in data["changes"]])
    if problem:
        return problem
    own = {key: value for key, value in data.items() if key not in (*CIRCUITS, "run")}
    return twice(data, "changes", "change") or outside(own) or unlikely_r2(data["faithfulness"])


def problem_of_series(data: dict[str, Any]) -> str | None:
    """What is wrong with a series' content, in one line; None where nothing is."""
    problem = too_many(data, "points", "sets") or schemas.problem_of(data, "files", _SCHEMA, "series")
    if problem:
        return problem
    names = [point["name"] for point in data["points"]]
    for what, parts in (("checkpoint", names), ("set", [frozenset(members) for members in data["sets"]])):
        if len(set(parts)) != len(parts):
            return f"a {what} is there twice"
    problem = _strange("sets", data["sets"])
    if problem:
        return problem
    for i, point in enumerate(data["points"]):
        if len(point["effects"]) != len(data["sets"]):
            return f"points[{i}].effects has {len(point['effects'])} effects; there are {len(data['sets'])} sets"
    for name, earlier in data["same_as"].items():
        for one in (name, earlier):
            if one not in names:
                return f"same_as names {short(one)}, which is not one of the checkpoints"
    return outside({"points": data["points"]})


def _strange(key: str, sets: list[list[str]]) -> str | None:
    """The first member of a set that is no component, in one line."""
    for i, members in enumerate(sets):
        for name in members:
            try:
                component_named(name, {})
            except UserError as error:
                return f"{key}[{i}]: {error}"
    return None
