"""What is wrong with the content of a ``circuit.json``, in one line that names the place and what is allowed.

First the JSON Schema, then what a schema can't say: names are unique, edges name nodes, nodes are what their names say,
intervals are the right way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from circuitspex.components.component import parse_component
from circuitspex.errors import UserError
from circuitspex.export import schemas


def schema() -> dict[str, Any]:
    """The JSON Schema of ``circuit.json``."""
    return schemas.load("files", "circuit.schema.json")


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a file's content, in one line; None where nothing is."""
    return schemas.problem_of(data, "files", "circuit.schema.json") or _graph_problem(data)


def _graph_problem(data: dict[str, Any]) -> str | None:
    of_model = data["run"].get("lens", "components") == "components"
    names: set[str] = set()
    problem = _nodes_problem(data["nodes"], "nodes", names, of_model)
    problem = problem or _nodes_problem(data.get("dropped_nodes", ()), "dropped_nodes", set(names), of_model)
    if problem:
        return problem
    for i, edge in enumerate(data["edges"]):
        for j, name in enumerate(edge["components"]):
            if name not in names:
                return f"edges[{i}].components[{j}] names '{name}', which is not one of the nodes"
    problem = twice(data, "edges", "interaction")
    if problem:
        return problem
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
    checked = ("nodes", "edges", "dropped", "dropped_nodes", "verification")
    return upside_down({key: data[key] for key in checked if key in data})


def _nodes_problem(nodes: Sequence[dict[str, Any]], where: str, names: set[str], of_model: bool) -> str | None:
    """What is wrong with a list of components; adds their names to those that are taken."""
    for i, node in enumerate(nodes):
        name = node["name"]
        if name in names:
            return f"{where}[{i}].name: '{name}' is there twice; every component is one node"
        names.add(name)
        if name != name.strip():
            return f"{where}[{i}].name: {schemas.short(name)} has a space or line end around it"
        if node.get("signed") is False and (node["decoded"] < 0 or node["measured"] is not None):
            return f"{where}[{i}].signed is false, so that its effect is a size of at least 0 that was not measured"
        if not of_model:
            continue
        try:
            component = parse_component(name)
        except UserError as error:
            return f"{where}[{i}].name: {error}"
        if (component.layer, component.kind) != (node["layer"], node["kind"]):
            return (
                f"{where}[{i}] is named '{name}' (layer {component.layer}, {component.kind}) "
                f"but says layer {node['layer']}, {node['kind']}"
            )
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
    return None


def twice(data: dict[str, Any], key: str, what: str) -> str | None:
    """The first entry of a list whose components are those of an earlier one, in one line."""
    seen: set[frozenset[str]] = set()
    for i, entry in enumerate(data[key]):
        if frozenset(entry["components"]) in seen:
            return f"{key}[{i}]: the {what} of {', '.join(entry['components'])} is there twice"
        seen.add(frozenset(entry["components"]))
    return None


def upside_down(data: dict[str, Any]) -> str | None:
    """The first interval anywhere in the data whose ends are the wrong way round, in one line."""
    for where, found in _estimates(data, ""):
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
