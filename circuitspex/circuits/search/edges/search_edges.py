"""Circuits of every size among the edges of a game."""

from __future__ import annotations

from collections.abc import Sequence

from circuitspex.circuits.edge_circuits import EdgeCircuits, largest_circuit
from circuitspex.circuits.search.rounds.by_rounds import search_by_rounds
from circuitspex.games import EdgeGame


def search_edges(
    game: EdgeGame, left_out: EdgeGame, budget: int = 40, sizes: Sequence[int] = (), *, progress: bool | None = None
) -> EdgeCircuits:
    """Connected circuits of every size, by rounds; the arguments are those of ``search_by_rounds``."""
    selection = game.selection
    found = search_by_rounds(
        game,
        left_out,
        lambda order, size: largest_circuit(selection, order, size),
        budget,
        sizes,
        progress=progress,
    )
    return EdgeCircuits(selection=selection, **found)
