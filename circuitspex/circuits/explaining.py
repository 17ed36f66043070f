"""``explain``: from any game to a graph of what matters and what interacts."""

from __future__ import annotations

from typing import Literal

import numpy as np

from circuitspex.circuits.found import Found
from circuitspex.circuits.search import Plan, search
from circuitspex.games import LensGame, as_game
from circuitspex.masks import Keep
from circuitspex.recovery import Method
from circuitspex.typing import Game


def explain(
    game: Game | LensGame,
    budget: int = 100,
    *,
    keep: Keep | Literal["auto"] = 0.5,
    method: Method = "auto",
    max_nodes: int = 16,
    max_interactions: int = 12,
    n_heldout: int = 200,
    n_contexts: int = 16,
    refine: int = 0,
    until: float | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Found:
    """Find which players of a game matter, and which of them interact.

    The game is played under ``budget`` random masks and the results are decoded into a sparse function, which is scored
    on ``n_heldout`` further masks. Its strongest players and interactions are then measured again by paired ablations,
    and what replicates becomes the graph. This is what ``find_circuit`` does for the components of a model; it works
    for every lens, and for any callable from masks bool ``(K, n)``, True = kept, to numbers ``(K,)`` or ``(K, P)`` with
    an attribute ``n_players``.

    Args:
        game: a ``ComponentGame``, ``TokenGame`` or ``TrainingGame``, or a callable with ``n_players`` (and, where they
            are there, ``names`` and ``gradients(masks)``; see ``FunctionGame``).
        budget: ablations to decode from; each with a backward pass where the method uses gradients and the game has
            them. Where so many cover every mask of a few players (``keep`` 0.5), each mask is run once.
        keep: the share of players that a random mask keeps; ``(low, high)`` lets each mask draw its own; 'auto' picks
            it by a pilot (see ``circuitspex.masks.pilot``), whose ablations come on top of the budget.
        method: as in ``decode``: 'auto' uses gradients where the game has them; 'spex' runs the masks of its own
            design, which keep half of the players and can't stop early.
        max_nodes: the players with the largest main effects that are measured again.
        max_interactions: the sets of two or more that are measured again.
        n_heldout: plain ablations for the R².
        n_contexts: random contexts in which each set is measured; twice as many where its interval is wide.
        refine: rounds in which the sets that the decoded function chooses are run for real, added to the data, and
            decoded again.
        until: stop early, once R² on new masks is at least this.
        seed: of every random choice; the same seed and game give the same result.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        UserError: an argument out of range, not a game, or a game that gives NaN, infinities or another shape.

    Warns:
        where the decoded function explains little, and where ``until`` was not reached, with the budget that likely
        would.
    """
    lens = as_game(game)
    plan = Plan(
        budget, keep, method, max_nodes, max_interactions, n_heldout, n_contexts, refine, until, seed, progress
    ).check()
    done = search(lens, plan)
    whole = done.counter(np.ones((1, lens.n_players), dtype=bool))
    circuit = done.circuit({"n_prompts": whole.shape[1], "unablated": float(whole.mean())})
    return Found(
        circuit,
        done.interactions,
        done.run,
        None,
        done.curve,
        done.pilot,
        lens.n_stored,
        lens.n_run,
        done.refined,
    )
