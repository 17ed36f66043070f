"""What is wrong with the content of a comparison's or a series' file, in one line that names the place.

First the JSON Schema (``comparison.schema.json``), then what it can't say: the circuits inside are valid, intervals are
the right way round, every checkpoint has an effect for every set.
"""

from __future__ import annotations

from typing import Any

from circuitspex.export import schemas
from circuitspex.export.files.circuit import CIRCUIT
from circuitspex.export.files.circuit_check import twice, upside_down

CIRCUITS = ("before", "after", "difference")
_SCHEMA = "comparison.schema.json"


def schema() -> dict[str, Any]:
    """The JSON Schema of a comparison; that of a series is its ``$defs/series``."""
    return schemas.load("files", _SCHEMA)


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a comparison's content, in one line; None where nothing is."""
    problem = schemas.problem_of(data, "files", _SCHEMA)
    if problem:
        return problem
    for side in CIRCUITS:
        problem = CIRCUIT.problem_of(data[side])
        if problem:
            return f"{side}: {problem}"
    own = {key: value for key, value in data.items() if key not in (*CIRCUITS, "run")}
    return twice(data, "changes", "change") or upside_down(own)


def problem_of_series(data: dict[str, Any]) -> str | None:
    """What is wrong with a series' content, in one line; None where nothing is."""
    problem = schemas.problem_of(data, "files", _SCHEMA, "series")
    if problem:
        return problem
    names = [point["name"] for point in data["points"]]
    for i, point in enumerate(data["points"]):
        if len(point["effects"]) != len(data["sets"]):
            return f"points[{i}].effects has {len(point['effects'])} effects; there are {len(data['sets'])} sets"
    for name, earlier in data["same_as"].items():
        for one in (name, earlier):
            if one not in names:
                return f"same_as names {schemas.short(one)}, which is not one of the checkpoints"
    return upside_down({"points": data["points"]})
