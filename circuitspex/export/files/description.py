"""A description as JSON: by itself, and in ``circuit.json`` under 'description'."""

from __future__ import annotations

from typing import Any

from circuitspex.circuits.about import Description
from circuitspex.export import schemas
from circuitspex.export.files.circuit_check import outside
from circuitspex.export.files.codec import JsonForm


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a file's content, in one line; None where nothing is."""
    return schemas.problem_of(data, "files", "circuit.schema.json", "description") or outside(data)


DESCRIPTION = JsonForm(Description, "circuitspex.description", 1, problem_of)
to_json, write, read = DESCRIPTION.to_json, DESCRIPTION.write, DESCRIPTION.read
