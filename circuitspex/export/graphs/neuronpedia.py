"""Attribution-graph JSON, as Neuronpedia shows it and circuit-tracer writes it (schema 1.0.0, JSON Schema draft-07).

- Every component is a node; one more node, of type 'metric', stands for what the effects are measured in, and every
  component is linked to it with its effect as weight. Interactions of two are links, earlier component first.
- Groups (``Circuit.groups``) become supernodes, and then interactions of three and more, strongest first, as long as no
  member is in one already: the viewer can't show a node in two. All groups, and all interactions with intervals, are
  under ``metadata.generation_settings``.
- ``feature`` is a negative number of its own for every component. The viewer takes nodes of the same layer, position
  and feature for one and shows one label for all, so that null would mislabel them; negative numbers are no index of
  any feature dictionary.
- The prompt is cut into ``circuit.task["example"]["tokens"]`` where these are there; else into words, or not at all
  where components sit at positions that words can't name. ``metadata.info.description`` says which.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuitspex import __version__
from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.group import Group
from circuitspex.components import KINDS, parse_component
from circuitspex.errors import UserError
from circuitspex.export import schemas
from circuitspex.export.drawing.edge_parts import edge_parts, is_of_edges
from circuitspex.export.drawing.style import decimals, effect_text, faithfulness_text, title_of
from circuitspex.export.graphs.edge_graph import LONG_NAMES, edge_fields, interactions_of
from circuitspex.export.graphs.parts import Part, Parts, interaction_fields, needs_signs, parts_of
from circuitspex.files import write_atomically
from circuitspex.text import printable

METRIC = "metric"
"""The id and the type of the node that stands for the metric."""


def schema() -> dict[str, Any]:
    """What the format requires, as a JSON Schema."""
    return schemas.load("graphs", "neuronpedia.schema.json")


def to_json(circuit: Circuit) -> dict[str, Any]:
    """The circuit as an attribution graph.

    Raises:
        UserError: what ``parts_of`` and ``needs_signs`` refuse, or a token position outside the prompt.
    """
    needs_signs(circuit, "an attribution graph")
    if is_of_edges(circuit):
        return _checked(_of_edges(circuit))
    parts, places = parts_of(circuit), decimals(circuit)
    tokens, cut = _tokens(circuit, parts.components)
    groups = circuit.groups()
    ids = {part.id: _id(part) for part in parts.components}
    metric = _text(circuit.task.get("metric"))
    layer = max([0, *(part.node.layer for part in parts.components)]) + 1
    n_layers = circuit.model.get("n_layers")
    about = [
        (
            ids[part.id],
            part.node.layer,
            _position(part, tokens),
            KINDS[part.node.kind].long_name if part.node.kind in KINDS else part.node.kind,
            f"{part.node.name} {effect_text(part.node, places)}",
        )
        for part in parts.components
    ]
    layer = max(layer, n_layers if isinstance(n_layers, int) else 0)
    about.append((METRIC, layer, max(len(tokens) - 1, 0), METRIC, metric or METRIC))
    nodes = [
        _node(i, node, str(layer), position, kind, text) for i, (node, layer, position, kind, text) in enumerate(about)
    ]
    links = [{"source": ids[part.id], "target": METRIC, "weight": float(part.node.effect)} for part in parts.components]
    for interaction in parts.interactions:
        if interaction.joint is None:
            source, target = (ids[part.id] for part in interaction.members)
            links.append({"source": source, "target": target, "weight": float(interaction.edge.effect)})
    settings = {
        "groups": [asdict(group) for group in groups],
        "interactions": [interaction_fields(each) for each in parts.interactions],
    }
    return _checked(_file(circuit, nodes, links, (tokens, cut), settings, _supernodes(groups, parts, ids, places)))


def _of_edges(circuit: Circuit) -> dict[str, Any]:
    """Parts of the model as nodes, and the circuit's edges as links between them.

    The viewer knows one link of two nodes: its weight is the sum of the effects of the edges between them, to queries,
    keys and values. Each edge by itself, and the interactions, are under ``generation_settings``. The parts of a
    key/value head and the heads that share it are a supernode.
    """
    found, (tokens, cut) = edge_parts(circuit), _tokens(circuit, ())
    n_layers = circuit.model.get("n_layers")
    top = max([n_layers if isinstance(n_layers, int) else 0, *(1 + (part.layer or 0) for part in found.parts)])
    layer_of = {"embeddings": "E", "logits": str(top)}
    last = max(len(tokens) - 1, 0)
    nodes = [
        _node(
            i,
            part.name,
            layer_of.get(part.kind, str(part.layer)),
            last,
            LONG_NAMES.get(part.kind, part.kind),
            part.name,
        )
        for i, part in enumerate(found.parts)
    ]
    weights: dict[tuple[str, str], float] = {}
    for each in found.edges:
        weights[each.source, each.target] = weights.get((each.source, each.target), 0.0) + float(each.node.effect)
    links = [{"source": a, "target": b, "weight": weight} for (a, b), weight in weights.items()]
    shared: dict[str, list[str]] = {}
    for key, head in found.feeds:
        shared.setdefault(key, [f"heads with {key}", key]).append(head)
    settings = {"edges": [edge_fields(each) for each in found.edges], "interactions": interactions_of(found)}
    return _file(circuit, nodes, links, (tokens, cut), settings, list(shared.values()))


def _node(number: int, name: str, layer: str, position: int, kind: str, text: str) -> dict[str, Any]:
    return {
        "node_id": name,
        "feature": -1 - number,
        "layer": layer,
        "ctx_idx": position,
        "feature_type": kind,
        "jsNodeId": name,
        "clerp": _label(text),
    }


def _file(
    circuit: Circuit,
    nodes: list[dict[str, Any]],
    links: list[dict[str, Any]],
    prompt: tuple[list[str], str],
    settings: dict[str, Any],
    supernodes: list[list[str]],
) -> dict[str, Any]:
    tokens, cut = prompt
    name, task = _text(circuit.model.get("name")) or "unnamed model", _text(circuit.task.get("name"))
    description = f"{title_of(circuit)}. {faithfulness_text(circuit)}. {cut}"
    return {
        "metadata": {
            "slug": re.sub(r"[^a-z0-9]+", "-", f"{name} {task}".lower()).strip("-")[:80] or "circuit",
            "scan": name,
            "transcoder_list": [],
            "prompt_tokens": tokens,
            "prompt": _prompt(circuit) or "".join(tokens),
            "schema_version": 1,
            "info": {"description": description, "generator": {"name": "circuitspex", "version": __version__}},
            "generation_settings": settings,
        },
        "qParams": {
            "pinnedIds": [node["node_id"] for node in nodes],
            "supernodes": supernodes,
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": nodes,
        "links": links,
    }


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    problem = schemas.problem_of(data, "graphs", "neuronpedia.schema.json")
    if problem:
        raise UserError(f"this circuit can't be written as an attribution graph: {problem}")
    return data


def write(circuit: Circuit, path: Path) -> Path:
    """Write the graph.

    Raises:
        UserError: what ``to_json`` refuses, or a path that can't be written.
    """
    text = json.dumps(to_json(circuit), indent=1, ensure_ascii=False, allow_nan=False)
    return write_atomically(path, (text + "\n").encode("utf-8", "replace"))


def _tokens(circuit: Circuit, components: Sequence[Part]) -> tuple[list[str], str]:
    """The prompt in pieces, and a sentence that says what they are."""
    tokens, prompt = _example(circuit).get("tokens"), _prompt(circuit)
    if isinstance(tokens, list | tuple) and tokens and all(isinstance(token, str) for token in tokens):
        return [str(token) for token in tokens], "The tokens are those of the task's first prompt."
    if not prompt:
        return [], "The circuit names no prompt."
    if any(_written_position(part) not in (None, -1) for part in components):
        return [prompt], "The prompt stands as one piece, since its tokens are not known; labels name token positions."
    words = re.findall(r"\s*\S+|\s+\Z", prompt)
    return words, "prompt_tokens are words, not the model's tokens; components of all positions stand at the last."


def _example(circuit: Circuit) -> Mapping[str, Any]:
    example = circuit.task.get("example")
    return example if isinstance(example, Mapping) else {}


def _prompt(circuit: Circuit) -> str:
    return _text(_example(circuit).get("prompt"))


def _position(part: Part, tokens: list[str]) -> int:
    """Where a component stands: at its token, or where the metric is read."""
    last, position = max(len(tokens) - 1, 0), _written_position(part)
    if position is None or position == -1 or last == 0:
        return last
    at = position if position >= 0 else len(tokens) + position
    if not 0 <= at <= last:
        raise UserError(f"{part.node.name} is at a position that the prompt of {len(tokens)} tokens does not have")
    return at


def _written_position(part: Part) -> int | None:
    try:
        return parse_component(part.node.name).position
    except UserError:
        return None


def _supernodes(groups: tuple[Group, ...], parts: Parts, ids: dict[str, str], places: int) -> list[list[str]]:
    by_name = {part.node.name: part.id for part in parts.components}
    found = [[_label(group.name), *(ids[by_name[name]] for name in group.members)] for group in groups]
    taken = {by_name[name] for group in groups for name in group.members}
    for interaction in parts.interactions:
        members = {part.id for part in interaction.members}
        if interaction.joint is not None and not members & taken:
            taken |= members
            label = _label(f"{interaction.edge.relation.short} {effect_text(interaction.edge, places)}")
            found.append([label, *(ids[part.id] for part in interaction.members)])
    return found


def _id(part: Part) -> str:
    """The component's name in characters that page ids and addresses can hold, made unique."""
    return f"{part.node.layer}_{re.sub(r'[^A-Za-z0-9:@.-]+', '-', part.node.name)}_{part.id}"


def _label(text: str) -> str:
    """A label that is safe where the viewer puts it into its page as HTML."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
