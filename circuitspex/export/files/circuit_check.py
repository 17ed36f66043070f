"""What is wrong with the content of a ``circuit.json``, in one line that names the place and what is allowed.

First the JSON Schema, then what a schema can't say: names are unique, edges name nodes, nodes are what their names say,
intervals are the right way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from circuitspex.circuits.relation import RELATIONS
from circuitspex.components import KINDS
from circuitspex.components.component import Component, parse_component
from circuitspex.components.edges import layer_of, parse_edge
from circuitspex.errors import UserError
from circuitspex.export import schemas
from circuitspex.strict_json import short


def schema() -> dict[str, Any]:
    """The JSON Schema of ``circuit.json``."""
    return schemas.load("files", "circuit.schema.json")


MAX_PARTS = 50_000
"""The most entries of a list that are read: components, interactions, changes, words."""
NOT_OF_THE_MEAN = frozenset({"random_kept", "random_removed"})
"""Fields whose interval is that of the values themselves: their mean may lie outside of it."""


def problem_of(data: dict[str, Any]) -> str | None:
    """What is wrong with a file's content, in one line; None where nothing is."""
    return (
        too_many(data, "nodes", "edges", "dropped", "dropped_nodes")
        or too_many(data.get("task") if isinstance(data.get("task"), dict) else {}, "prompts", where="task.")
        or schemas.problem_of(data, "files", "circuit.schema.json")
        or _graph_problem(data)
    )


def too_many(data: dict[str, Any] | None, *keys: str, where: str = "") -> str | None:
    """The first of these lists that is longer than what is read, in one line."""
    for key in keys:
        found = (data or {}).get(key)
        if isinstance(found, list) and len(found) > MAX_PARTS:
            return f"{where}{key} has {len(found):,} entries; at most {MAX_PARTS:,} are read"
    return None


def _graph_problem(data: dict[str, Any]) -> str | None:
    of_model = data["run"].get("lens", "components") == "components"
    model = data["model"] if of_model else None
    names: set[str] = set()
    problem = _edges_problem(data) if data["run"].get("lens") == "edges" else None
    problem = problem or _nodes_problem(data["nodes"], "nodes", names, model)
    problem = problem or _nodes_problem(data.get("dropped_nodes", ()), "dropped_nodes", set(names), model)
    if problem:
        return problem
    for i, edge in enumerate(data["edges"]):
        for j, name in enumerate(edge["components"]):
            if name not in names:
                return f"edges[{i}].components[{j}] names {short(name)}, which is not one of the nodes"
    problem = twice(data, "edges", "interaction")
    if problem:
        return problem
    for part in ("edges", "dropped"):
        for i, edge in enumerate(data[part]):
            problem = _edge_problem(edge)
            if problem:
                return f"{part}[{i}].{problem}"
    for i, edge in enumerate(data["dropped"] if model is not None else ()):
        for j, name in enumerate(edge["components"]):
            try:
                component_named(name, data["model"])
            except UserError as error:
                return f"dropped[{i}].components[{j}]: {error}"
    problem = _prompts_problem(data["task"])
    if problem:
        return problem
    checked = ("nodes", "edges", "dropped", "dropped_nodes", "verification", "description")
    return outside({key: data[key] for key in checked if key in data}) or unlikely_r2(data["faithfulness"])


def component_named(name: str, model: dict[str, Any]) -> Component:
    """The component of that name, as it is written, in a model of these sizes (as far as the file says them).

    Raises:
        UserError: it is written otherwise, or the model has no such layer or head.
    """
    component = parse_component(name)
    if str(component) != name:
        raise UserError(f"{short(name)} is written {component}")
    n_layers, n_heads = (model.get(key, component.layer + component.stop + 1) for key in ("n_layers", "n_heads"))
    if component.layer >= n_layers:
        raise UserError(f"{name} is in layer {component.layer}; the file's model has {n_layers} layers")
    heads = model.get("heads")
    if heads is not None and component.layer < len(heads):
        n_heads = heads[component.layer]
    if component.about.letter == KINDS["head"].letter and component.start >= n_heads:
        raise UserError(f"{name} is head {component.start}; that layer of the file's model has {n_heads} heads")
    return component


def unlikely_r2(found: dict[str, Any]) -> str | None:
    """Whether an R² and its interval contradict each other, in one line."""
    known = [found[key] for key in ("low", "r2", "high") if found[key] is not None]
    if known != sorted(known):
        return f"faithfulness: R² {found['r2']} is not in its interval from {found['low']} to {found['high']}"
    return None


def _edges_problem(data: dict[str, Any]) -> str | None:
    """The first node of a circuit of edges that is none, or goes beyond the file's layers, in one line."""
    n_layers = data["model"].get("n_layers")
    for where in ("nodes", "dropped_nodes"):
        for i, node in enumerate(data.get(where, ())):
            try:
                edge = parse_edge(node["name"])
            except UserError as error:
                return f"{where}[{i}].name: {error}"
            last = max(layer_of(end) or 0 for end in (edge.source, edge.target))
            if n_layers is not None and last >= n_layers:
                return f"{where}[{i}].name: {edge} is in layer {last}; the file's model has {n_layers} layers"
    return None


def _nodes_problem(
    nodes: Sequence[dict[str, Any]], where: str, names: set[str], model: dict[str, Any] | None
) -> str | None:
    """What is wrong with a list of components; adds their names to those that are taken."""
    for i, node in enumerate(nodes):
        name = node["name"]
        if name in names:
            return f"{where}[{i}].name: {short(name)} is there twice; every component is one node"
        names.add(name)
        if name != name.strip():
            return f"{where}[{i}].name: {short(name)} has a space or line end around it"
        if node.get("signed") is False and (node["decoded"] < 0 or node["measured"] is not None):
            return f"{where}[{i}].signed is false, so that its effect is a size of at least 0 that was not measured"
        if model is None:
            continue
        try:
            component = component_named(name, model)
        except UserError as error:
            return f"{where}[{i}].name: {error}"
        if (component.layer, component.kind) != (node["layer"], node["kind"]):
            return (
                f"{where}[{i}] is named '{name}' (layer {component.layer}, {component.kind}) "
                f"but says layer {node['layer']}, {node['kind']}"
            )
    return None


def _prompts_problem(task: dict[str, Any]) -> str | None:
    """What is wrong with the prompts of a task: more than it has, or positions that their tokens don't have."""
    prompts, n_prompts = task.get("prompts", ()), task.get("n_prompts")
    if n_prompts is not None and len(prompts) > n_prompts:
        return f"task.prompts has {len(prompts):,} entries; n_prompts says {n_prompts:,}"
    for i, prompt in enumerate(prompts):
        for name, span in prompt.get("positions", {}).items() if prompt["tokens"] else ():
            if not span or max(span) >= len(prompt["tokens"]):
                return (
                    f"task.prompts[{i}].positions: {short(name)} is at {short(span)}; "
                    f"the prompt has {len(prompt['tokens'])} tokens"
                )
    return None


def _edge_problem(edge: dict[str, Any]) -> str | None:
    order = len(edge["components"])
    for key in ("table", "unablated"):
        rows: set[tuple[bool, ...]] = set()
        for row in edge.get(key, ()):
            if len(row["kept"]) != order:
                return f"{key} has a row for {len(row['kept'])} components; the interaction has {order}"
            if tuple(row["kept"]) in rows:
                return f"{key} has a combination twice"
            rows.add(tuple(row["kept"]))
    if edge.get("pair") is not None:
        problem = _pair_problem(edge["pair"], edge["components"])
        if problem:
            return f"pair.{problem}"
    direction = edge.get("direction")
    if direction is not None:
        for end in ("source", "target"):
            if direction[end] not in edge["components"]:
                return f"direction.{end} is '{direction[end]}', which is not one of the interaction's components"
    return None


def _pair_problem(pair: dict[str, Any], components: list[str]) -> str | None:
    if len(components) != 2:
        return f"relation is that of two components; the interaction has {len(components)}"
    said = pair["relation"]
    definition, ends = RELATIONS[said["word"]], [said["source"], said["target"]]
    if ends == [None, None]:
        if not definition.both:
            return f"relation.source is null, but '{said['word']}' is what one component does to the other"
    elif not definition.one:
        return f"relation.source must be null: '{said['word']}' is about both components"
    elif sorted(map(str, ends)) != sorted(components):
        return f"relation.source and .target are {ends[0]!r} and {ends[1]!r}, not the two components"
    if [[each["component"], each["other"]] for each in pair["conditional"]] != [components, components[::-1]]:
        return "conditional must have each of the two components, in their order, with the other one"
    return None


def twice(data: dict[str, Any], key: str, what: str) -> str | None:
    """The first entry of a list whose components are those of an earlier one, in one line."""
    seen: set[frozenset[str]] = set()
    for i, entry in enumerate(data[key]):
        if frozenset(entry["components"]) in seen:
            return f"{key}[{i}]: the {what} of {short(', '.join(entry['components']))} is there twice"
        seen.add(frozenset(entry["components"]))
    return None


def outside(data: dict[str, Any]) -> str | None:
    """The first interval anywhere in the data whose ends are the wrong way round, or without its value, in one line."""
    for where, found in _estimates(data, ""):
        low, value, high = (found[key] for key in ("low", "value", "high"))
        if low > high:
            return f"{where}: the interval's low end {low} is above its high end {high}"
        if not low <= value <= high and where.rpartition(".")[2] not in NOT_OF_THE_MEAN:
            return f"{where}: the value {value} is not in its interval from {low} to {high}"
    return None


def _estimates(value: Any, where: str) -> Iterator[tuple[str, dict[str, float]]]:
    if isinstance(value, dict):
        if {"value", "low", "high"} <= value.keys():
            yield where, value
        for key, inner in value.items():
            yield from _estimates(inner, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _estimates(inner, f"{where}[{i}]")
