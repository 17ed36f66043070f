"""Edges and whole nodes as players of one game: a node that is ablated has all its outgoing edges closed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from circuitspex.errors import ComponentError
from circuitspex.games.edge_game import EdgeGame
from circuitspex.games.grouped import GroupedGame


def edges_and_nodes(game: EdgeGame, edges: Sequence[int], nodes: Sequence[str]) -> GroupedGame:
    """The game whose players are some edges and some nodes; all other edges stay open.

    An edge that is a player of its own is not among those of its node, so that what the two do together is seen.

    Args:
        game: of all edges that are concerned.
        edges: columns of the game.
        nodes: sources: 'L5H1', 'L5M' or 'emb'.

    Raises:
        ComponentError: the model has no such source, or the game has no other edge from it.
        UserError: an edge that is not there, or is given twice.
    """
    graph, own = game.graph, {int(column) for column in edges}
    sources = graph.source[game.selection.numbers]
    groups = [[int(column)] for column in edges]
    for node in nodes:
        columns = np.flatnonzero(sources == graph.place_of_source(node)).tolist()
        left = [column for column in columns if column not in own]
        if not left:
            raise ComponentError(f"{node} has no edges among the players but those that are players of their own")
        groups.append(left)
    return GroupedGame(game, groups, [*(game.names[int(column)] for column in edges), *map(str, nodes)])
