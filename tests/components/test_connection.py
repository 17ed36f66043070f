"""Edges on a path from the embeddings to the logits, against following each path."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.components.connection import connected
from circuitspex.components.edges import EdgeGraph, EdgeLayer
from circuitspex.errors import ComponentError

GRAPHS = {
    "plain": EdgeGraph((EdgeLayer(2, 2), EdgeLayer(2, 2))),
    "grouped": EdgeGraph((EdgeLayer(4, 2), EdgeLayer(4, 2), EdgeLayer(4, 1))),
    "ungrouped": EdgeGraph((EdgeLayer(4, 2), EdgeLayer(4, 2)), ungrouped=True),
    "parallel": EdgeGraph((EdgeLayer(2, 2), EdgeLayer(2, 2)), parallel=True),
    "attention only": EdgeGraph((EdgeLayer(2, 2, mlp=False), EdgeLayer(2, 2, mlp=False))),
}


def computes(graph, target, source):
    """Whether a source computes from a destination, read off the names."""
    if target == "logits" or source == "emb":
        return False
    if target.endswith("M"):
        return source == target
    layer, rest = target[1:].split("KV" if "KV" in target else "H")
    head = int(rest[:-2])
    if not source.startswith(f"L{layer}H"):
        return False
    own = int(source.split("H")[1])
    about = graph.layers[int(layer)]
    return own * about.n_kv // about.n_heads == head if "KV" in target else own == head


def slowly(graph, numbers):
    """Edges dropped one by one until each has an edge before it and one behind it."""
    edges = [graph.edge(int(number)) for number in numbers]
    while True:
        left = [
            edge
            for edge in edges
            if (edge.source == "emb" or any(computes(graph, other.target, edge.source) for other in edges))
            and (edge.target == "logits" or any(computes(graph, edge.target, other.source) for other in edges))
        ]
        if len(left) == len(edges):
            return [graph.number(edge) for edge in left]
        edges = left


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
def test_what_is_left_is_what_dropping_edges_one_by_one_leaves(name, share):
    graph = GRAPHS[name]
    rng = np.random.default_rng()
    sizes = []
    for _ in range(30):
        numbers = rng.permutation(len(graph))[: int(share * len(graph))]
        found = connected(graph, numbers)
        assert found.tolist() == slowly(graph, numbers)
        sizes.append(len(found) / max(1, len(numbers)))
    assert min(sizes) < 1


def test_all_edges_are_connected_and_none_is_nothing():
    for graph in GRAPHS.values():
        assert len(connected(graph, np.arange(len(graph)))) == len(graph)
        assert len(connected(graph, np.zeros(0, dtype=int))) == 0


def test_an_edge_that_is_not_there_is_refused():
    with pytest.raises(ComponentError, match="numbered 0 to"):
        connected(GRAPHS["plain"], np.array([10**6]))
