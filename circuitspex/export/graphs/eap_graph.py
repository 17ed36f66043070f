"""The whole graph of a model as EAP files list it, scored; what is in it is said when it is written.

A circuit is a set of *members*: nodes of a ``NodeGraph`` by the file's names, or edges of an ``EdgeFileGraph`` by ours.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import Circuit
from circuitspex.errors import UserError
from circuitspex.export.graphs.eap_edges import EdgeNames, kept_nodes, key_value_heads, refuse_positions
from circuitspex.export.graphs.eap_nodes import Blocks, edge_count, edges
from circuitspex.export.graphs.eap_scores import Function, Scores, scores_of, weaker_of
from circuitspex.files import write_atomically

MAX_EDGES = 3_000_000
"""Of a larger model only the kept edges are listed; readers take the others for left out, with a score of 0."""

Line = tuple[str, str, float, bool]
"""An edge as the file has it: source, target, score, whether it is in the graph."""


@dataclass(frozen=True)
class WholeGraph(ABC):
    """What both kinds have: the sizes of the model, what each layer has (and whether the circuit says it), the members
    of the circuit, and the scores of all that was searched, by our names."""

    cfg: dict[str, Any]
    blocks: Blocks
    says_blocks: bool
    kept: Set[str]
    scores: Scores

    @property
    def parallel(self) -> bool:
        """Whether attention and MLP of a layer read the same."""
        return bool(self.cfg["parallel_attn_mlp"])

    @property
    def n_edges(self) -> int:
        """How many edges the model has, as the format counts them."""
        return edge_count(self.blocks, self.parallel)

    @abstractmethod
    def member(self, name: str) -> str:
        """What a part of our name is called among the members."""

    @abstractmethod
    def nodes(self, kept: Set[str]) -> dict[str, dict[str, Any]]:
        """The nodes as the file has them, where these members are in the graph."""

    @abstractmethod
    def lines(self, kept: Set[str], every: bool = True) -> Iterator[Line]:
        """The edges as the file has them, where these members are in the graph; all, or only those in the graph."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What the file says besides."""

    def count(self, kept: Set[str]) -> int:
        """How many edges are in the graph, as the format counts them, where these members are."""
        return sum(1 for _ in self.lines(kept, False))


@dataclass(frozen=True)
class NodeGraph(WholeGraph):
    """Of a circuit of nodes: all edges between those that are kept, or were never ablated, are in the graph.

    ``known`` are the nodes that are listed; ``names`` our names of those that were searched.
    """

    known: tuple[str, ...]
    names: Mapping[str, str]

    @cached_property
    def _node_of(self) -> dict[str, str]:
        return {own: node for node, own in self.names.items()}

    def member(self, name: str) -> str:
        """The file's name of a component."""
        return self._node_of[name]

    def nodes(self, kept: Set[str]) -> dict[str, dict[str, Any]]:
        """The nodes as the file has them; those that were never ablated have no score."""
        found: dict[str, dict[str, Any]] = {}
        for name in self.known:
            found[name] = {"in_graph": name in kept or name not in self.names}
            if name in self.names:
                found[name]["score"] = self.scores.score[self.names[name]]
        return found

    def lines(self, kept: Set[str], every: bool = True) -> Iterator[Line]:
        """The edges as the file has them, each with the score of its weaker end."""
        strongest = self.scores.strongest
        score = {node: self.scores.score[own] for node, own in self.names.items()}
        inside = {name: name in kept or name not in self.names for name in self.known}
        for source, target in edges(self.blocks, self.parallel):
            into = target.split("<")[0]
            both = inside.get(source, False) and inside.get(into, False)
            if both or (
                every and source in inside and into in inside
            ):  # one that was never ablated is as strong as the strongest
                weaker = weaker_of(score.get(source, strongest), score.get(into, strongest), strongest)
                yield source, target, weaker, both

    def count(self, kept: Set[str]) -> int:
        """How many edges are in the graph: those between its nodes."""
        inside = {name for name in self.known if name in kept or name not in self.names}
        heads = [sum(name in inside for name in self.blocks.of_layer(layer)) for layer in range(len(self.blocks.heads))]
        mlps = [f"m{layer}" in inside for layer in range(len(self.blocks.mlps))]
        return edge_count(Blocks(tuple(heads), tuple(mlps)), self.parallel)

    def about(self) -> dict[str, Any]:
        """What the file says of its scores."""
        return {
            "level": "nodes",
            "edges": "not measured: the weaker of both ends' scores, up to a thousandth less as the other is weak",
            "scores": "effects, measured or decoded; of those placed only a place in a ranking",
            "placed": list(self.scores.placed),
            **({"heads": list(self.blocks.heads), "mlps": list(self.blocks.mlps)} if self.says_blocks else {}),
        }


@dataclass(frozen=True)
class EdgeFileGraph(WholeGraph):
    """Of a circuit of edges: exactly these are in the graph."""

    edge_names: EdgeNames
    run: Mapping[str, Any]

    def member(self, name: str) -> str:
        """An edge's own name."""
        return name

    def nodes(self, kept: Set[str]) -> dict[str, dict[str, Any]]:
        """The nodes, in the graph where its edges reach and leave them."""
        inside = kept_nodes((source, target) for source, target, _, in_graph in self.lines(kept, False) if in_graph)
        ends = ["input", *(end for ends in self.edge_names.by_ends for end in ends)]
        return {name: {"in_graph": name in inside} for name in dict.fromkeys(end.split("<")[0] for end in ends)}

    def count(self, kept: Set[str]) -> int:
        """How many edges are in the graph."""
        return sum(self.edge_names.sharing[name] for name in kept)

    def lines(self, kept: Set[str], every: bool = True) -> Iterator[Line]:
        """The edges, each with its part of the score of ours."""
        score, sharing = self.scores.score, self.edge_names.sharing
        for (source, target), name in self.edge_names.by_ends.items():
            if every or name in kept:
                yield source, target, score[name] / sharing[name], name in kept

    def about(self) -> dict[str, Any]:
        """What the file says of its scores."""
        graph = self.edge_names.graph
        return {
            "level": "edges",
            **{key: self.run[key] for key in ("components", "n_components") if key in self.run},
            "scores": "effects, measured or decoded; of those placed only a place in a ranking",
            "placed": list(self.scores.placed),
            "heads": list(self.blocks.heads),
            "mlps": list(self.blocks.mlps),
            "key_value_heads": [layer.n_kv for layer in graph.layers],
            "ungrouped": graph.ungrouped,
        }


def edges_of(circuit: Circuit, cfg: dict[str, Any], blocks: Blocks, function: Function | None) -> EdgeFileGraph:
    """The graph of a circuit of edges.

    Raises:
        UserError: it has edges that its model does not have, or at single tokens.
    """
    groups = key_value_heads(circuit.model.get("key_value_heads"), blocks, "the circuit's model.key_value_heads")
    ungrouped = circuit.run.get("ungrouped") is True or groups is None
    names = EdgeNames.of(blocks, groups, parallel=bool(cfg["parallel_attn_mlp"]), ungrouped=ungrouped)
    inside = [node.name for node in circuit.nodes]
    refuse_positions(inside)
    try:
        for name in inside:
            names.graph.number(name)
    except UserError as error:
        raise UserError(f"an EAP graph can't hold this circuit: {error}") from None
    scores = scores_of(circuit, names.sharing, function)
    return EdgeFileGraph(cfg, blocks, True, frozenset(inside), scores, names, circuit.run)


def write_graph(
    graph: WholeGraph, kept: Set[str] | None, path: Path, *, sign: str, every: bool = True, **about: Any
) -> Path:
    """Write the graph with these members in it.

    Args:
        graph: of the model.
        kept: the members of the circuit; None writes a graph with nothing in it, not even what no search ablated.
        path: the file.
        sign: of the scores: 'ablation' or 'unknown'.
        every: list all edges, as far as the model has at most ``MAX_EDGES``; else those in the graph.
        about: what the file says besides.

    Raises:
        UserError: the path can't be written.
    """
    every = every and graph.n_edges <= MAX_EDGES
    nodes, lines = graph.nodes(kept or frozenset()), graph.lines(kept or frozenset(), every)
    if kept is None:
        nodes = {name: {**node, "in_graph": False} for name, node in nodes.items()}
        lines = ((source, target, score, False) for source, target, score, _ in lines if every)
    said = {True: "true", False: "false"}
    listed = ",\n".join(
        f'"{source}->{target}": {{"score": {score!r}, "in_graph": {said[in_graph]}}}'
        for source, target, score, in_graph in lines
    )
    top = {"cfg": graph.cfg, "circuitspex": {"sign": sign, **graph.about(), **about}, "nodes": nodes}
    text = "{" + ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in top.items())
    return write_atomically(path, (text + f',\n"edges": {{{listed}}}}}\n').encode())
