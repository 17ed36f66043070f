"""What is wrong with the content of a ``circuit.json``, in one line that names the place and what is allowed.

First the JSON Schema, then what a schema can't say: names are unique, edges name nodes, nodes are what their names say,
intervals are the right way round.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from circuitspex.components.component import parse_component
from circuitspex.errors import UserError


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of ``circuit.json``."""
    text = resources.files("circuitspex.export.files").joinpath("circuit.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a file's content, in one line; None where nothing is."""
    return _schema_problem(data) or _graph_problem(data)


def _schema_problem(data: dict[str, Any]) -> str | None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(_validator(Draft202012Validator).iter_errors(data))
    if error is None:
        return None
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    where = "".join(steps).lstrip(".") or "the top level"
    allowed = error.validator_value
    if error.validator == "type":
        names = [allowed] if isinstance(allowed, str) else list(allowed)
        return f"{where} must be {' or '.join(names)}, not {short(error.instance)}"
    if error.validator == "enum":
        return f"{where} must be one of {', '.join(map(repr, allowed))}, not {short(error.instance)}"
    if error.validator == "const":
        return f"{where} must be {allowed!r}, not {short(error.instance)}"
    if error.validator == "minLength":
        return f"{where} is empty; it must be a text"
    if error.validator == "minimum":
        return f"{where} must be at least {allowed}, not {short(error.instance)}"
    if error.validator == "minItems":
        return f"{where} must have at least {allowed} components, not {short(error.instance)}"
    if error.validator == "uniqueItems":
        return f"{where} names a component twice: {short(error.instance)}"
    if error.validator == "required":
        missing = [key for key in allowed if key not in error.instance]
        return f"{where} lacks {', '.join(map(repr, missing))}; it must have {', '.join(allowed)}"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = [key for key in error.instance if key not in known]
        return f"{where} has the unknown field {short(extra[0])}; allowed are {', '.join(known)}"
    return f"{where}: {short(error.message)}"


@functools.cache
def _validator(kind: Any) -> Any:
    return kind(schema())


def _graph_problem(data: dict[str, Any]) -> str | None:
    names: set[str] = set()
    of_model = data["run"].get("lens", "components") == "components"
    for i, node in enumerate(data["nodes"]):
        name = node["name"]
        if name in names:
            return f"nodes[{i}].name: '{name}' is there twice; every component is one node"
        names.add(name)
        if name != name.strip():
            return f"nodes[{i}].name: {short(name)} has a space or line end around it"
        if not of_model:
            continue
        try:
            component = parse_component(name)
        except UserError as error:
            return f"nodes[{i}].name: {error}"
        if (component.layer, component.kind) != (node["layer"], node["kind"]):
            return (
                f"nodes[{i}] is named '{name}' (layer {component.layer}, {component.kind}) "
                f"but says layer {node['layer']}, {node['kind']}"
            )
    seen: set[frozenset[str]] = set()
    for i, edge in enumerate(data["edges"]):
        for j, name in enumerate(edge["components"]):
            if name not in names:
                return f"edges[{i}].components[{j}] names '{name}', which is not one of the nodes"
        members = frozenset(edge["components"])
        if members in seen:
            return f"edges[{i}]: the interaction of {', '.join(edge['components'])} is there twice"
        seen.add(members)
    for part in ("edges", "dropped"):
        for i, edge in enumerate(data[part]):
            problem = _edge_problem(edge)
            if problem:
                return f"{part}[{i}].{problem}"
    for i, edge in enumerate(data["dropped"] if of_model else ()):
        for j, name in enumerate(edge["components"]):
            try:
                parse_component(name)
            except UserError as error:
                return f"dropped[{i}].components[{j}]: {error}"
    for where, estimate in _estimates(data):
        if estimate["low"] > estimate["high"]:
            return f"{where}: the interval's low end {estimate['low']} is above its high end {estimate['high']}"
    return None


def _edge_problem(edge: dict[str, Any]) -> str | None:
    order = len(edge["components"])
    for row in edge.get("table", ()):
        if len(row["kept"]) != order:
            return f"table has a row for {len(row['kept'])} components; the interaction has {order}"
    direction = edge.get("direction")
    if direction is not None:
        for end in ("source", "target"):
            if direction[end] not in edge["components"]:
                return f"direction.{end} is '{direction[end]}', which is not one of the interaction's components"
        if direction["share"]["low"] > direction["share"]["high"]:
            return "direction.share: the interval's low end is above its high end"
    return None


def _estimates(data: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    found = [
        (f"{part}[{i}].measured", item["measured"])
        for part in ("nodes", "edges", "dropped")
        for i, item in enumerate(data[part])
        if item["measured"] is not None
    ]
    verification = data["verification"] or {}
    return found + [(f"verification.{key}", value) for key, value in verification.items() if isinstance(value, dict)]


def short(value: Any, length: int = 60) -> str:
    """A value for an error line: on one line and not long."""
    text = value if isinstance(value, str) and len(value) > length else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
