"""Graph JSON of EAP-IG and of the circuit track of the Mechanistic Interpretability Benchmark (MIB).

Its graph is the whole computation of the model: nodes ``input``, ``a{layer}.h{head}``, ``m{layer}`` and ``logits``, and
an edge from every node to each that can read it (for heads one each into ``<q>``, ``<k>`` and ``<v>``). A part is in
the circuit or not, and has a score.

Written: a component's score is its effect, 0 where the search did not keep it; a part that the search never ablated
(MLPs in a search among heads) is in the graph without a score, which the format reads as 'always kept'. Every edge
between two kept nodes is kept, scored by the weaker of its ends, so that a ranking of edges keeps to the ranking of
components. Interactions and intervals have no place in the format.

Read: nodes that are kept and scored become components, with the score as decoded effect. In a graph that scores edges
only, a node's effect is the sum of the scores of its kept outgoing edges, as attribution patching adds them up.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from circuitspex import strict_json
from circuitspex.circuits.circuit import Circuit, Faithfulness, Node
from circuitspex.components import Component, LayerStructure, ModelStructure, Part, head, mlp, select
from circuitspex.components.component import parse_component
from circuitspex.errors import ComponentError, FileFormatError, UserError
from circuitspex.export.graphs.parts import parts_of
from circuitspex.files import write_atomically

MAX_EDGES = 3_000_000
"""Of a larger model only the kept edges are listed; readers take the others for left out, with a score of 0."""
MAX_HEADS = 1_000_000
"""Graphs of more heads are taken for damaged."""
# Selectors of other components than heads and MLPs.
_OTHER_KINDS = re.compile(r"neurons|heads\.[qkv]|attns|residuals|experts|latents|L\d+(?:H\d+\.|[ARNES])")
PARALLEL = frozenset(
    {"GPTNeoXForCausalLM", "GPTJForCausalLM", "CodeGenForCausalLM", "PhiForCausalLM", "CohereForCausalLM"}
)
"""Architectures whose MLP does not read the attention of its own layer, for circuits that don't say it."""


def write(circuit: Circuit, path: Path) -> Path:
    """Write the graph.

    Raises:
        UserError: the circuit does not say how many layers and heads its model has, or has components that the
            format can't say (neurons, single positions), or the path can't be written.
    """
    lens = circuit.run.get("lens", "components")
    if lens != "components":
        raise UserError(f"an EAP graph has heads and MLPs of a model only; this circuit is of another lens ({lens})")
    cfg = _config(circuit)
    layers, heads, parallel = cfg["n_layers"], cfg["n_heads"], cfg["parallel_attn_mlp"]
    searched = _searched(circuit, layers, heads)
    score: dict[str, float] = {}
    for part in parts_of(circuit).components:
        score[_name(_component(part.node.name), part.node.name)] = float(part.node.effect)
    beyond = [name for name in score if name not in _nodes(layers, heads)]
    if beyond:
        raise UserError(
            f"this circuit's model has {layers} layers of {heads} heads, so that {beyond[0]} can't be in it"
        )
    kept = {name for name in _nodes(layers, heads) if name in score or name not in searched}
    nodes: dict[str, dict[str, Any]] = {}
    for name in _nodes(layers, heads):
        nodes[name] = {"in_graph": name in kept}
        if name in searched or name in score:
            nodes[name]["score"] = score.get(name, 0.0)

    strongest = max(map(abs, score.values()), default=1.0)

    def lines() -> Iterator[str]:
        small = edge_count(layers, heads, parallel) <= MAX_EDGES
        for source, target in edges(layers, heads, parallel):
            into = target.split("<")[0]
            if source in kept and into in kept:
                weaker = min((score[end] for end in (source, into) if end in score), key=abs, default=strongest)
                yield f'"{source}->{target}": {{"score": {weaker!r}, "in_graph": true}}'
            elif small:
                yield f'"{source}->{target}": {{"score": 0.0, "in_graph": false}}'

    listed = ",\n".join(lines())
    text = f'{{"cfg": {json.dumps(cfg)},\n"nodes": {json.dumps(nodes)},\n"edges": {{{listed}}}}}\n'
    return write_atomically(path, text.encode())


def read(path: Path) -> Circuit:
    """Read the circuit of a graph: its kept nodes, with estimates; nothing is measured.

    Raises:
        FileFormatError: the file is missing, damaged or not such a graph, or keeps only some neurons of a node.
    """
    try:
        return _circuit(strict_json.read(path, nan=True))
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None


def edges(n_layers: int, n_heads: int, parallel: bool) -> Iterator[tuple[str, str]]:
    """The edges of the whole graph as source and target; heads have the targets ``<q>``, ``<k>`` and ``<v>``."""
    before = ["input"]
    for layer in range(n_layers):
        heads = [f"a{layer}.h{i}" for i in range(n_heads)]
        for source in before:
            yield from ((source, f"{name}<{letter}>") for name in heads for letter in "qkv")
        reads = before if parallel else [*before, *heads]
        yield from ((source, f"m{layer}") for source in reads)
        before += [*heads, f"m{layer}"]
    yield from ((source, "logits") for source in before)


def edge_count(n_layers: int, n_heads: int, parallel: bool) -> int:
    """How many edges ``edges`` gives."""
    before = sum(1 + layer * (n_heads + 1) for layer in range(n_layers))
    within = 0 if parallel else n_layers * n_heads
    return before * (3 * n_heads + 1) + within + 1 + n_layers * (n_heads + 1)


def _config(circuit: Circuit) -> dict[str, Any]:
    model = circuit.model
    sizes = {}
    for key in ("n_layers", "n_heads"):
        value = model.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(
                f"an EAP graph needs the model's {key}, which this circuit does not have (it says {value!r})"
            )
        sizes[key] = value
    if sizes["n_layers"] * sizes["n_heads"] > MAX_HEADS:
        raise UserError(f"an EAP graph has at most {MAX_HEADS:,} heads; this circuit's model has more")
    width, parallel = model.get("d_model"), model.get("parallel_attn_mlp")
    return {
        **sizes,
        "parallel_attn_mlp": parallel if isinstance(parallel, bool) else model.get("architecture") in PARALLEL,
        "d_model": width if isinstance(width, int) and not isinstance(width, bool) else 0,
    }


def _nodes(n_layers: int, n_heads: int) -> dict[str, Component | None]:
    """The names of all nodes in the order of the computation, with their components."""
    found: dict[str, Component | None] = {"input": None}
    for layer in range(n_layers):
        found |= {f"a{layer}.h{i}": head(layer, i) for i in range(n_heads)}
        found[f"m{layer}"] = mlp(layer)
    return {**found, "logits": None}


def _searched(circuit: Circuit, n_layers: int, n_heads: int) -> set[str]:
    """The nodes that the search could ablate; all where the circuit does not say it."""
    everything = {name for name, component in _nodes(n_layers, n_heads).items() if component is not None}
    selector = circuit.run.get("components")
    if not isinstance(selector, str) or not selector:
        return everything
    if _OTHER_KINDS.search(selector):
        raise UserError(
            f"an EAP graph has whole heads and MLPs only; this circuit was searched among {selector[:60]!r}"
        )
    layer = LayerStructure({"head": Part(n_heads, ""), "mlp": Part(1, "")})
    structure = ModelStructure("the circuit's model", (layer,) * n_layers)
    try:
        return {_name(component, str(component)) for component in select(structure, selector)}
    except ComponentError as error:
        raise UserError(f"the components that this circuit was searched among can't be read: {error}") from None


def _component(name: str) -> Component:
    try:
        return parse_component(name)
    except ComponentError as error:
        raise UserError(f"an EAP graph can't hold this circuit: {error}") from None


def _name(component: Component, written: str) -> str:
    if component.kind not in ("head", "mlp"):
        raise UserError(
            f"an EAP graph has whole heads and MLPs only, so that it can't hold {written} ({component.kind})"
        )
    if component.position is not None:
        raise UserError(f"an EAP graph has no token positions, so that it can't hold {written}")
    return f"a{component.layer}.h{component.start}" if component.kind == "head" else f"m{component.layer}"


def _circuit(data: Any) -> Circuit:
    if not isinstance(data, dict) or not all(isinstance(data.get(key), dict) for key in ("cfg", "nodes", "edges")):
        raise FileFormatError("not an EAP graph: it needs the objects 'cfg', 'nodes' and 'edges'")
    cfg = data["cfg"]
    for key in ("n_layers", "n_heads"):
        if not isinstance(cfg.get(key), int) or isinstance(cfg[key], bool) or not 1 <= cfg[key] <= 10_000:
            raise FileFormatError(f"cfg.{key} must be a whole number of at least 1, not {str(cfg.get(key))[:40]!r}")
    if cfg["n_layers"] * cfg["n_heads"] > MAX_HEADS:
        raise FileFormatError(
            f"cfg names {cfg['n_layers']} layers of {cfg['n_heads']} heads; at most {MAX_HEADS:,} heads are read"
        )
    known = _nodes(cfg["n_layers"], cfg["n_heads"])
    given = {name: _node(name, node, known) for name, node in data["nodes"].items()}
    outgoing = _outgoing(data["edges"], known)
    by_edges = all(score is None for name, (_, score) in given.items() if known[name] is not None)
    nodes, searched = [], []
    for name, component in known.items():
        in_graph, score = given.get(name, (False, None))
        if component is None or (score is None and not by_edges):
            continue
        searched.append(component)
        if in_graph:
            effect = outgoing.get(name, 0.0) if score is None else score
            nodes.append(Node(str(component), component.layer, component.kind, effect))
    model = {key: cfg[key] for key in ("n_layers", "n_heads", "d_model", "parallel_attn_mlp") if key in cfg}
    return Circuit(
        nodes=tuple(nodes),
        interactions=(),
        faithfulness=Faithfulness(None, None, None, 0),
        model=model,
        run={"components": "+".join(map(str, searched)), "n_components": len(searched)},
    )


def _node(name: str, node: Any, known: dict[str, Component | None]) -> tuple[bool, float | None]:
    """Whether a node is in the graph, and its score; None is 'not scored', which files write as NaN or leave out."""
    if name not in known:
        raise FileFormatError(f"nodes names {name[:40]!r}, which the model of 'cfg' does not have")
    if isinstance(node, bool):
        return node, None
    if not isinstance(node, dict) or not isinstance(node.get("in_graph"), bool):
        raise FileFormatError(f"nodes.{name} must have 'in_graph', true or false")
    neurons = node.get("neurons")
    if node["in_graph"] and isinstance(neurons, list) and not all(neurons):
        raise FileFormatError(f"nodes.{name} keeps only some of its neurons; whole nodes can be read")
    return node["in_graph"], _score(node.get("score"), f"nodes.{name}")


def _outgoing(given: dict[str, Any], known: dict[str, Component | None]) -> dict[str, float]:
    """The sum of the scores of the kept edges that leave each node."""
    total: dict[str, float] = {}
    for name, edge in given.items():
        source, arrow, target = name.partition("->")
        if not arrow or source not in known or target.split("<")[0] not in known:
            raise FileFormatError(f"edges names {name[:60]!r}, which the model of 'cfg' does not have")
        if not isinstance(edge, dict) or not isinstance(edge.get("in_graph"), bool):
            raise FileFormatError(f"edges.{name} must have 'in_graph', true or false")
        score = _score(edge.get("score"), f"edges.{name}")
        if edge["in_graph"] and score is not None:
            total[source] = total.get(source, 0.0) + score
    return total


def _score(value: Any, where: str) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        raise FileFormatError(f"{where}.score must be a finite number, not {str(value)[:40]!r}")
    return float(value)
