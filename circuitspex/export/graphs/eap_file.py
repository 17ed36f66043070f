"""The content of an EAP graph file, checked: nodes and edges of the model of 'cfg', in the graph or not, and scored."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from circuitspex.components import Component
from circuitspex.errors import FileFormatError
from circuitspex.export.graphs.eap_nodes import Blocks, components_of, edges, n_outgoing
from circuitspex.strict_json import short

MAX_HEADS = 1_000_000
"""Graphs of more heads are taken for damaged."""

Entry = tuple[bool, float | None]
"""Whether a node or an edge is in the graph, and its score; None is 'not scored'."""


@dataclass(frozen=True)
class GraphFile:
    """A file's nodes and edges by their names there; ``ours`` is what this package's own files say besides.

    ``blocks`` is what each layer has, where the file says it; ``whole`` what it is taken to have.
    """

    cfg: dict[str, Any]
    ours: dict[str, Any]
    blocks: Blocks | None
    nodes: dict[str, Entry]
    edges: dict[tuple[str, str], Entry]

    @classmethod
    def of(cls, data: Any) -> GraphFile:
        """Of what a file holds.

        Raises:
            FileFormatError: it is no such graph, or keeps only some neurons of a node.
        """
        if not isinstance(data, dict) or not all(isinstance(data.get(key), dict) for key in ("cfg", "nodes", "edges")):
            raise FileFormatError("not an EAP graph: it needs the objects 'cfg', 'nodes' and 'edges'")
        cfg = _config(data["cfg"])
        stated = data.get("circuitspex")
        ours = stated if isinstance(stated, dict) else {}
        blocks = _blocks(ours, cfg)
        known = components_of(blocks or Blocks.uniform(cfg["n_layers"], cfg["n_heads"]))
        nodes = {name: _node(name, node, known) for name, node in data["nodes"].items()}
        return cls(cfg, ours, blocks, nodes, dict(_edge(name, edge, known) for name, edge in data["edges"].items()))

    @property
    def whole(self) -> Blocks:
        """What each layer has; where the file does not say it, all have as many heads and an MLP."""
        return self.blocks or Blocks.uniform(self.cfg["n_layers"], self.cfg["n_heads"])

    @property
    def parallel(self) -> bool:
        """Whether attention and MLP of a layer read the same."""
        return self.cfg.get("parallel_attn_mlp") is True

    @cached_property
    def parts(self) -> dict[str, Component]:
        """The heads and MLPs of the model by their names in the file."""
        return {name: component for name, component in components_of(self.whole).items() if component is not None}

    @cached_property
    def kept(self) -> set[str]:
        """The heads and MLPs in the graph."""
        return {name for name in self.parts if self.nodes.get(name, (False, None))[0]}

    @cached_property
    def kept_edges(self) -> list[tuple[str, str]]:
        """The edges in the graph."""
        return [ends for ends, (in_graph, _) in self.edges.items() if in_graph]

    @cached_property
    def nodes_are_scored(self) -> bool:
        """Whether any head or MLP has a score."""
        return any(self.nodes.get(name, (False, None))[1] is not None for name in self.parts)

    @property
    def edges_are_scored(self) -> bool:
        """Whether any edge has a score."""
        return any(score is not None for _, score in self.edges.values())

    def is_of_nodes(self) -> bool:
        """Whether its circuit is one of nodes: they have scores, and all edges between those in the graph are in it."""
        if "level" in self.ours:
            return bool(self.ours["level"] == "nodes")
        if not self.nodes_are_scored:
            return not self.kept_edges and (bool(self.kept) or not self.edges_are_scored)
        ends = {*self.kept, "input", "logits"}
        between = {(source, target) for source, target in self.kept_edges if {source, target.split("<")[0]} <= ends}
        listed = ((source, target) for source, target in edges(self.whole, self.parallel))
        return not self.kept_edges or between == {
            (source, target) for source, target in listed if {source, target.split("<")[0]} <= ends
        }

    def outgoing(self) -> dict[str, tuple[float, int]]:
        """The sum of the scores of all edges that leave each node, in the graph or not, and how many they are."""
        total: dict[str, tuple[float, int]] = {}
        for (source, _), (_, score) in self.edges.items():
            if score is not None:
                before, count = total.get(source, (0.0, 0))
                total[source] = before + score, count + 1
        return total

    def lacking(self, kept: set[str], outgoing: dict[str, tuple[float, int]]) -> str:
        """A sentence about edges that leave these nodes and that the file has not; empty where it has all."""
        wanted = n_outgoing(self.whole, self.parallel)
        few = sorted((name for name in kept if outgoing[name][1] < wanted[name]), key=lambda name: outgoing[name][1])
        if not few:
            return ""
        there, all_ = outgoing[few[0]][1], wanted[few[0]]
        return (
            f"the file has not all edges that leave {len(few)} of the {len(kept)} nodes in the graph (of {few[0]} "
            f"{there} of {all_}): their effects add up those that it has"
        )

    def model(self) -> dict[str, Any]:
        """What ``circuit.json`` says of the model."""
        found: dict[str, Any] = {
            key: self.cfg[key] for key in ("n_layers", "n_heads", "d_model", "parallel_attn_mlp") if key in self.cfg
        }
        if self.blocks is not None:
            found |= {"heads": list(self.blocks.heads), "mlps": list(self.blocks.mlps)}
        return found


def _config(cfg: dict[str, Any]) -> dict[str, Any]:
    for key in ("n_layers", "n_heads"):
        if not isinstance(cfg.get(key), int) or isinstance(cfg[key], bool) or not 1 <= cfg[key] <= 10_000:
            raise FileFormatError(f"cfg.{key} must be a whole number of at least 1, not {str(cfg.get(key))[:40]!r}")
    if cfg["n_layers"] * cfg["n_heads"] > MAX_HEADS:
        raise FileFormatError(
            f"cfg names {cfg['n_layers']} layers of {cfg['n_heads']} heads; at most {MAX_HEADS:,} heads are read"
        )
    return cfg


def _blocks(ours: dict[str, Any], cfg: dict[str, Any]) -> Blocks | None:
    """What each layer has, where the file is ours and says it."""
    heads, mlps = ours.get("heads"), ours.get("mlps")
    if heads is None and mlps is None:
        return None
    if (
        not isinstance(heads, list)
        or not isinstance(mlps, list)
        or not len(heads) == len(mlps) == cfg["n_layers"]
        or not all(type(n) is int and 0 <= n <= cfg["n_heads"] for n in heads)
        or not all(type(has) is bool for has in mlps)
    ):
        raise FileFormatError(
            "circuitspex.heads and circuitspex.mlps must say for each layer how many heads, true or false"
        )
    return Blocks(tuple(heads), tuple(mlps))


def _node(name: str, node: Any, known: dict[str, Component | None]) -> Entry:
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


def _edge(name: str, edge: Any, known: dict[str, Component | None]) -> tuple[tuple[str, str], Entry]:
    source, arrow, target = name.partition("->")
    if not arrow or not _is_edge(source, target, known):
        raise FileFormatError(f"edges names {short(name)}, which the model of 'cfg' does not have")
    if not isinstance(edge, dict) or not isinstance(edge.get("in_graph"), bool):
        raise FileFormatError(f"edges.{name} must have 'in_graph', true or false")
    return (source, target), (edge["in_graph"], _score(edge.get("score"), f"edges.{name}"))


def _is_edge(source: str, target: str, known: dict[str, Component | None]) -> bool:
    """Whether the one is computed before the other, which reads it."""
    into, _, slot = target.partition("<")
    if source not in known or into not in known or source == "logits" or into == "input":
        return False
    one, other = known[source], known[into]
    if slot not in (("q>", "k>", "v>") if other is not None and other.kind == "head" else ("",)):
        return False
    if one is None or other is None:  # from the input, or to the logits
        return True
    return one.layer < other.layer or (one.layer == other.layer and (one.kind, other.kind) == ("head", "mlp"))


def _score(value: Any, where: str) -> float | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        raise FileFormatError(f"{where}.score must be a finite number, not {str(value)[:40]!r}")
    return float(value)
