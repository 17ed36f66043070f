"""Edges of a model by the names that EAP graph files give them.

``L5H1->L9H3.q`` is ``a5.h1->a9.h3<q>`` there, ``emb`` is ``input`` and ``L5M`` is ``m5``. The format has keys and
values for each query head. Where several share a key/value head, our edge into that (``L9KV1.k``) is one edge into each
of them there, each with an equal part of its score: a ranking then sees what an edge is worth for each that it costs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from circuitspex.components.edges import EdgeGraph, EdgeLayer, layer_of
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.graphs.eap_nodes import Blocks, edges

Ends = tuple[str, str]
"""Source and target of an edge as files name them."""


@dataclass(frozen=True)
class EdgeNames:
    """The names of a graph's edges in both spellings."""

    graph: EdgeGraph

    @classmethod
    def of(cls, blocks: Blocks, key_value_heads: Iterable[int] | None, *, parallel: bool, ungrouped: bool) -> EdgeNames:
        """Of a model with these layers; None: each head has keys and values of its own."""
        groups = blocks.heads if key_value_heads is None else tuple(key_value_heads)
        layers = tuple(EdgeLayer(n, kv, mlp) for n, kv, mlp in zip(blocks.heads, groups, blocks.mlps, strict=True))
        return cls(EdgeGraph(layers, parallel=parallel, ungrouped=ungrouped))

    @cached_property
    def blocks(self) -> Blocks:
        """What each layer has."""
        return Blocks(tuple(each.n_heads for each in self.graph.layers), tuple(each.mlp for each in self.graph.layers))

    @cached_property
    def by_ends(self) -> dict[Ends, str]:
        """Our name of each edge of a file, in the order of the file."""
        return {
            (source, target): f"{_source(source)}->{self._target(target)}"
            for source, target in edges(self.blocks, self.graph.parallel)
        }

    @cached_property
    def sharing(self) -> dict[str, int]:
        """How many edges of a file each of ours is, in the order of the file."""
        found: dict[str, int] = {}
        for name in self.by_ends.values():
            found[name] = found.get(name, 0) + 1
        return found

    def _target(self, target: str) -> str:
        into, _, slot = target.partition("<")
        if not slot:
            return _source(into)
        letter, (layer, head) = slot[0], _place(into)
        if letter == "q" or self.graph.of_heads:
            return f"L{layer}H{head}.{letter}"
        about = self.graph.layers[layer]
        return f"L{layer}KV{head // (about.n_heads // about.n_kv)}.{letter}"

    def layer(self, name: str) -> int:
        """The layer in which an edge ends; the logits come after the last."""
        found = layer_of(name.partition("->")[2])
        return len(self.graph.layers) if found is None else found

    def in_file(self, value: dict[str, float]) -> dict[Ends, float]:
        """The score of each edge of a file: an equal part of ours."""
        return {ends: value[name] / self.sharing[name] for ends, name in self.by_ends.items() if name in value}


def key_value_heads(stated: Any, blocks: Blocks, where: str) -> tuple[int, ...] | None:
    """How many key/value heads each layer has, as a file says it; None where it does not.

    Raises:
        FileFormatError: they don't fit the heads.
    """
    if stated is None:
        return None
    fits = isinstance(stated, list | tuple) and len(stated) == len(blocks.heads)
    if not fits or not all(
        type(kv) is int and (kv == n == 0 or (0 < kv <= n and n % kv == 0))
        for kv, n in zip(stated, blocks.heads, strict=True)
    ):
        raise FileFormatError(f"{where} must say for each layer how many key/value heads its heads share")
    return tuple(stated)


def kept_nodes(kept: Iterable[Ends]) -> set[str]:
    """The nodes that these edges make a part of the graph, as EAP-IG counts them: read by one and read themselves."""
    found = list(kept)
    read = {target.split("<")[0] for _, target in found} | {"input"}
    return {source for source, _ in found if source in read} | {"logits"}


def connected(kept: Iterable[Ends]) -> set[Ends]:
    """Those of the edges that are on a way from the input to the logits within them."""
    found = set(kept)
    while True:
        nodes = kept_nodes(found)
        left = {(source, target) for source, target in found if source in nodes and target.split("<")[0] in nodes}
        if left == found:
            return found
        found = left


def _place(name: str) -> tuple[int, int]:
    layer, head = name[1:].split(".h")
    return int(layer), int(head)


def _source(name: str) -> str:
    if name == "input":
        return "emb"
    if name == "logits":
        return name
    if name[0] == "m":
        return f"L{name[1:]}M"
    layer, head = _place(name)
    return f"L{layer}H{head}"


def refuse_positions(names: Iterable[str]) -> None:
    """Say that the format has no token positions.

    Raises:
        UserError: an edge has one.
    """
    for name in names:
        if "@" in name:
            raise UserError(f"an EAP graph has no token positions, so that it can't hold {name}")
