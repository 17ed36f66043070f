"""Which edges of a set carry anything: those on a path from the embeddings to the logits."""

from __future__ import annotations

import re

import numpy as np

from circuitspex.components.edges import EdgeGraph, layer_of
from circuitspex.errors import ComponentError
from circuitspex.typing import IntArray


def connected(graph: EdgeGraph, numbers: IntArray) -> IntArray:
    """Those of these edges that lie on a path of them from the embeddings to the logits, in the order given.

    With all other edges closed under 'resample', an edge whose source nothing reaches carries what a closed edge
    carries, and one whose destination reaches nothing is read by nothing: leaving them out changes no value.

    Args:
        graph: of a model.
        numbers: ``(k,)``, of edges in the graph.

    Raises:
        ComponentError: there is no edge of one of these numbers.
    """
    numbers = np.asarray(numbers, dtype=np.int64).reshape(-1)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(graph):
        raise ComponentError(f"edges of {graph.name} are numbered 0 to {len(graph) - 1}")
    sources, targets = graph.source[numbers], graph.target[numbers]
    feeds = fed_by(graph)
    reached = np.zeros(len(graph.sources), dtype=np.bool_)
    reached[0] = True
    order = np.argsort(targets, kind="stable")  # destinations are in the order of computation
    starts = np.searchsorted(targets[order], np.arange(len(graph.targets) + 1))
    into = [sources[order[starts[d] : starts[d + 1]]] for d in range(len(graph.targets))]
    for target, members in enumerate(into):
        if len(members) and reached[members].any():
            reached[feeds[target]] = True
    used = np.zeros(len(graph.targets), dtype=np.bool_)
    used[-1] = True  # the logits
    needed = np.zeros(len(graph.sources), dtype=np.bool_)
    for target in reversed(range(len(graph.targets))):
        used[target] |= bool(needed[feeds[target]].any())
        if used[target]:
            needed[into[target]] = True
    return np.asarray(numbers[reached[sources] & used[targets]])


def fed_by(graph: EdgeGraph) -> tuple[IntArray, ...]:
    """For each destination the places of the sources that compute from it.

    A query is of one head, a key or value of the heads that share it, an MLP reads for itself; the logits end all.
    """
    place = {name: at for at, name in enumerate(graph.sources)}
    found: list[IntArray] = []
    for name in graph.targets:
        layer = layer_of(name)
        if layer is None:
            found.append(np.zeros(0, dtype=np.int64))
            continue
        if name.endswith("M"):
            heads = [name]
        else:
            kind, number = re.findall(r"(H|KV)(\d+)\.", name)[0]
            about = graph.layers[layer]
            shared = about.n_heads // about.n_kv if kind == "KV" else 1
            first = int(number) * shared
            heads = [f"L{layer}H{head}" for head in range(first, first + shared)]
        found.append(np.array([place[head] for head in heads]))
    return tuple(found)
