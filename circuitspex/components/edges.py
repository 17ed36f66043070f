"""The edges of a model: what each part adds to the residual stream, as each later part reads it.

Sources write into the residual stream: the embeddings (``emb``), heads (``L5H1``) and MLPs (``L5M``). Destinations read
it: queries (``L9H3.q``), keys and values, MLPs (``L9M``) and the unembedding (``logits``). Where several query heads
share a key/value head, that is one destination, ``L9KV1.k`` or ``L9KV1.v``; in an *ungrouped* graph each query head has
keys and values of its own, ``L9H3.k``, as the Mechanistic Interpretability Benchmark (MIB) counts edges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from circuitspex.errors import ComponentError
from circuitspex.typing import IntArray

_EDGE = re.compile(r"(?P<source>[^\s>@]+)->(?P<target>[^\s>@]+)(?:@(?P<position>-?\d+))?", re.ASCII)
_SOURCE = re.compile(r"emb|L\d+(?:H\d+|M)", re.ASCII)
_TARGET = re.compile(r"logits|L\d+(?:H\d+\.[qkv]|KV\d+\.[kv]|M)", re.ASCII)
_LONGEST = 200

HOW_WRITTEN = (
    "'L5H1->L9H3.q', 'L5M->L9KV1.v' (keys and values of a key/value head; 'L5M->L9H3.v' of a query head), 'emb->L0M' "
    "or 'L29M->logits', with '@-1' or '@3' for one token"
)
"""The written forms of edges, for messages."""


@dataclass(frozen=True, order=True)
class Edge:
    """From a source to a destination, by their names; at every token, or at one (negative from the end).

    Raises:
        ComponentError: no source or destination is called so.
    """

    source: str
    target: str
    position: int | None = None

    def __post_init__(self) -> None:
        if _SOURCE.fullmatch(self.source) is None:
            raise ComponentError(f"{self.source!r} is no source of an edge; sources are 'emb', heads L5H1 and MLPs L5M")
        if _TARGET.fullmatch(self.target) is None:
            raise ComponentError(
                f"{self.target!r} is no destination of an edge; destinations are L9H3.q, L9KV1.k, L9KV1.v (or L9H3.k, "
                "L9H3.v), L9M and 'logits'"
            )

    def __str__(self) -> str:
        return f"{self.source}->{self.target}" + ("" if self.position is None else f"@{self.position}")


def parse_edge(text: str) -> Edge:
    """Read an edge from its written form; the inverse of ``str(edge)``.

    Raises:
        ComponentError: the text is none of the written forms.
    """
    match = _EDGE.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if match is None:
        raise ComponentError(f"{text[:60]!r} is not an edge; edges are written {HOW_WRITTEN}")
    return Edge(match["source"], match["target"], None if match["position"] is None else int(match["position"]))


def layer_of(name: str) -> int | None:
    """The layer of a source or destination; None of the embeddings and the logits."""
    found = re.match(r"L(\d+)", name)
    return None if found is None else int(found[1])


@dataclass(frozen=True)
class EdgeLayer:
    """What one layer has: query heads, key/value heads, an MLP or none."""

    n_heads: int
    n_kv: int
    mlp: bool = True


@dataclass(frozen=True)
class EdgeGraph:
    """All edges of a model, in the order in which it computes what they end at.

    The edges into one destination follow each other, and what they come from are the first sources of the model: the
    gates of a layer's queries, keys and values are one matrix.

    Args:
        layers: what each layer has.
        parallel: whether the MLP of a layer reads the stream that its attention reads, so that nothing goes from a head
            to the MLP of its own layer.
        ungrouped: whether each query head has keys and values of its own.
        name: of the model, for messages.
    """

    layers: tuple[EdgeLayer, ...]
    parallel: bool = False
    ungrouped: bool = False
    name: str = "this model"

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The names of what edges come from, in the order of computation."""
        found = ["emb"]
        for layer, about in enumerate(self.layers):
            found += [f"L{layer}H{head}" for head in range(about.n_heads)]
            found += [f"L{layer}M"] if about.mlp else []
        return tuple(found)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The names of what edges go to: a layer's queries, keys, values, its MLP; the logits."""
        return tuple(name for name, _ in self._reads)

    @cached_property
    def n_read(self) -> IntArray:
        """How many of the sources, from the first on, each destination reads."""
        return np.array([count for _, count in self._reads])

    @cached_property
    def first(self) -> IntArray:
        """The number of the first edge into each destination, and at the end how many edges there are."""
        return np.concatenate([[0], np.cumsum(self.n_read)])

    @cached_property
    def source(self) -> IntArray:
        """What each edge comes from: its place in ``sources``."""
        return np.concatenate([np.arange(count) for count in self.n_read])

    @cached_property
    def target(self) -> IntArray:
        """What each edge goes to: its place in ``targets``."""
        return np.repeat(np.arange(len(self.targets)), self.n_read)

    def __len__(self) -> int:
        return int(self.first[-1])

    @property
    def of_heads(self) -> bool:
        """Whether keys and values are named after query heads: the graph is ungrouped, or each has its own."""
        return self.ungrouped or all(layer.n_kv == layer.n_heads for layer in self.layers)

    def n_keys(self, layer: int) -> int:
        """How many destinations a layer's keys are, and its values."""
        about = self.layers[layer]
        return about.n_heads if self.ungrouped else about.n_kv

    def edge(self, number: int) -> Edge:
        """The edge of this number."""
        return Edge(self.sources[int(self.source[number])], self.targets[int(self.target[number])])

    def number(self, edge: Edge | str) -> int:
        """The number of an edge, wherever its position is.

        Raises:
            ComponentError: the model has no such edge; it is said why.
        """
        edge = parse_edge(edge) if isinstance(edge, str) else edge
        source, target = self.place_of_source(edge.source), self.place_of_target(edge.target)
        if source >= self.n_read[target]:
            raise ComponentError(
                f"nothing goes from {edge.source} to {edge.target}: "
                + (
                    f"in {self.name} the MLP of a layer reads what its attention reads, not what that writes"
                    if layer_of(edge.source) == layer_of(edge.target) and self.parallel
                    else "an edge goes from a part to one that is computed after it"
                )
            )
        return int(self.first[target]) + source

    def place_of_source(self, name: str) -> int:
        """Where a source is in ``sources``.

        Raises:
            ComponentError: the model has none of that name.
        """
        found = self._place_of.get(("source", name))
        if found is None:
            raise ComponentError(self._lacks(name))
        return found

    def place_of_target(self, name: str) -> int:
        """Where a destination is in ``targets``.

        Raises:
            ComponentError: the model has none of that name.
        """
        found = self._place_of.get(("target", name))
        if found is None:
            raise ComponentError(self._lacks(name))
        return found

    @cached_property
    def _place_of(self) -> dict[tuple[str, str], int]:
        return {("source", name): place for place, name in enumerate(self.sources)} | {
            ("target", name): place for place, name in enumerate(self.targets)
        }

    @cached_property
    def _reads(self) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        before = 1
        letter = "H" if self.of_heads else "KV"
        for layer, about in enumerate(self.layers):
            found += [(f"L{layer}H{head}.q", before) for head in range(about.n_heads)]
            for kind in "kv":
                found += [(f"L{layer}{letter}{head}.{kind}", before) for head in range(self.n_keys(layer))]
            if about.mlp:
                found.append((f"L{layer}M", before + (0 if self.parallel else about.n_heads)))
            before += about.n_heads + about.mlp
        return [*found, ("logits", before)]

    def _lacks(self, name: str) -> str:
        layer = layer_of(name)
        if layer is None:
            return f"{self.name} has no '{name}' as an end of an edge there"
        if layer >= len(self.layers):
            return f"{name}: {self.name} has {len(self.layers)} layers, L0 to L{len(self.layers) - 1}"
        about = self.layers[layer]
        if name.endswith("M"):
            return f"{name}: layer {layer} of {self.name} has no MLP with edges"
        if name.endswith((".k", ".v")) and not self.of_heads and "KV" not in name:
            return (
                f"{name}: in layer {layer} of {self.name} {about.n_heads} query heads share {about.n_kv} key/value "
                f"heads; write L{layer}KV0{name[-2:]}, or take all edges as 'edges:ungrouped'"
            )
        if "KV" in name and self.of_heads:
            return f"{name}: here each query head has keys and values of its own; write L{layer}H0{name[-2:]}"
        if "KV" in name:
            return f"{name}: layer {layer} of {self.name} has {about.n_kv} key/value heads, KV0 to KV{about.n_kv - 1}"
        return f"{name}: layer {layer} of {self.name} has {about.n_heads} heads, H0 to H{about.n_heads - 1}"


@dataclass(frozen=True)
class EdgeSelection:
    """Some edges of a graph, each at every token or at one.

    ``numbers (n,)`` are those of the edges in the graph, ``positions`` those of each, None for every token.
    """

    graph: EdgeGraph
    numbers: IntArray
    positions: tuple[int | None, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the edges are called."""
        graph = self.graph
        ends = [f"->{name}" for name in graph.targets]
        sources, targets = graph.source[self.numbers].tolist(), graph.target[self.numbers].tolist()
        return tuple(
            graph.sources[u] + ends[d] + ("" if at is None else f"@{at}")
            for u, d, at in zip(sources, targets, self.positions, strict=True)
        )

    def __len__(self) -> int:
        return len(self.numbers)


EdgeSelector = str | Edge | Sequence[Any]
"""A selector, an edge, or a list of them."""


def is_of_edges(selector: object) -> bool:
    """Whether a selector names edges, and not components."""
    items: Iterable[object] = (
        selector if isinstance(selector, Iterable) and not isinstance(selector, str) else [selector]
    )
    for item in items:
        if isinstance(item, Edge):
            return True
        if isinstance(item, str) and re.search(r"->|\bedges\b|-$", item.strip()):
            return True
    return False
