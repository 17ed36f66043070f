"""A circuit of edges: which edges at every size, then the strongest of them and their interactions, measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from circuitspex.ablation.edges.baselines import check_edge_baseline
from circuitspex.ablation.edges.engine import check_edge_executor
from circuitspex.circuits.edge_circuits import EdgeCircuits
from circuitspex.circuits.found import Found
from circuitspex.circuits.search._search import search
from circuitspex.circuits.search.edges.search_edges import search_edges
from circuitspex.circuits.search.options import Options
from circuitspex.circuits.search.prompts import hold_out
from circuitspex.circuits.search.rounds.by_rounds import check_budget
from circuitspex.circuits.search.rounds.prompts import parted
from circuitspex.components.edges import EdgeSelector
from circuitspex.errors import UserError
from circuitspex.games import EdgeGame
from circuitspex.models.protocol import Model
from circuitspex.tasks import Task

MORE_PLAYERS = 2
"""So many times ``max_nodes`` edges are the players among which interactions are looked for."""


def check_edge_options(options: Options, baseline: str) -> None:
    """What a search among edges can't be asked for, before a model is loaded.

    Raises:
        UserError: it says what.
    """
    check_edge_baseline(baseline)
    check_edge_executor(options.executor)
    check_budget(options.budget, "edges")
    if options.refine:
        raise UserError("a search among edges refines by itself, round by round; refine=… (--refine) is not for edges")
    if options.latents:
        raise UserError("edges are between the embeddings, heads, MLPs and the logits; latents can't go with them")
    if options.precision != "model":
        raise UserError("edges are sums over all sources, which half precision blurs; leave precision as it is")


def search_of_edges(
    model: Model, task: Task, edges: EdgeSelector, baseline: str, options: Options, heldout: Task | None
) -> Found:
    """``find_circuit`` among edges, with options that are made and checked.

    Circuits of every size are chosen by slopes (``find_edges``). The edges with the largest slopes on the way from
    nothing to everything are then the players of a small game in which all other edges are open, and what interacts is
    looked for, measured and verified there as among any components.
    """
    if heldout is None:
        task, heldout = hold_out(task, options.seed)
    report = task.report(model)
    executor: Any = options.executor
    game = EdgeGame(model, task, edges, baseline, executor=executor, store=options.store, workers=options.workers)
    seen, left_out = parted(task, options.seed)
    chosen = search_edges(game.on(seen), game.on(left_out), options.budget, progress=options.progress)
    if heldout is not None:
        chosen = chosen.on_heldout(game.on(heldout))
    players = strongest_edges(chosen, MORE_PLAYERS * options.max_nodes)
    small = game.of(players)
    done = search(small, options, heldout=heldout, record={"edges": about_edges(chosen, game)})
    found = done.found(report=report)
    return replace(found, edges=chosen, n_run=found.n_run + chosen.passes + chosen.plain_passes)


def strongest_edges(chosen: EdgeCircuits, count: int) -> list[int]:
    """The columns of the edges with the largest slopes, whatever their signs, in their order; only those with any."""
    ranked = np.argsort(-chosen.sizes_of_slopes, kind="stable")[:count]
    found = sorted(int(column) for column in ranked if chosen.sizes_of_slopes[column] > 0)
    if not found:
        raise UserError("no edge has any effect on the metric in these prompts: there is no circuit to find")
    return found


def about_edges(chosen: EdgeCircuits, game: EdgeGame) -> dict[str, Any]:
    """What the record says of the search among all edges."""
    unseen = chosen.heldout
    heldout = unseen and {
        "n_prompts": unseen.n_prompts,
        "chosen": list(unseen.chosen),
        "matched": list(unseen.matched),
    }
    return {
        "searched": game.selector or f"{game.n_players} edges",
        "n_edges": game.n_players,
        "gradient_passes": chosen.passes,
        "plain_passes": chosen.plain_passes,
        "rounds": len(chosen.rounds),
        "n_prompts": chosen.n_prompts,
        "n_left_out": len(chosen.whole),
        "seconds": round(chosen.seconds, 2),
        "sizes": list(chosen.sizes),
        "chosen": [chosen.share(each) for each in chosen.highest],
        "matched": [chosen.share(each) for each in chosen.nearest],
        **({} if unseen is None else {"heldout": heldout}),
    }
