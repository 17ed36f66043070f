"""Edges and nodes in one game: a node without its edges is an ablated component."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.circuits import explain
from circuitspex.errors import ComponentError
from circuitspex.games import ComponentGame, EdgeGame, edges_and_nodes


def test_closing_a_node_is_ablating_the_component(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model)
    edges = EdgeGame(model, task)
    nodes = ["L0H1", "L1M", "L2H3"]
    game = edges_and_nodes(edges, [], nodes)
    masks = np.array([[i >> k & 1 for k in range(3)] for i in range(8)], dtype=bool)
    np.testing.assert_allclose(game(masks), ComponentGame(model, task, "+".join(nodes), "resample")(masks), atol=1e-4)


def test_an_edge_of_a_node_can_be_a_player_beside_it(tiny):
    model = tiny.bridge("llama")
    edges = EdgeGame(model, tiny.task(model))
    column = edges.names.index("L0H1->L1M")
    game = edges_and_nodes(edges, [column], ["L0H1"])
    assert game.names == ("L0H1->L1M", "L0H1")
    closed = np.array([not name.startswith("L0H1->") for name in edges.names])
    one = closed.copy()
    one[column] = True
    np.testing.assert_allclose(
        game(np.array([[False, False], [True, False], [False, True]])),
        edges(np.stack([closed, one, np.arange(edges.n_players) != column])),
        atol=1e-5,
    )
    found = explain(game, budget=4, n_heldout=4, n_contexts=4, progress=False)
    assert {node.name for node in (*found.circuit.nodes, *found.circuit.dropped_nodes)} <= set(game.names)


def test_a_node_without_edges_is_one_line(tiny):
    model = tiny.bridge("llama")
    edges = EdgeGame(model, tiny.task(model), "L0H1->logits")
    with pytest.raises(ComponentError, match="has no edges among the players"):
        edges_and_nodes(edges, [0], ["L0H1"])
