"""``plan``: what a search will cost, before it runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from circuitspex.ablation import Executor, Precision
from circuitspex.circuits.search.options import MORE_CONTEXTS, Options
from circuitspex.circuits.search.prompts import hold_out, prepared
from circuitspex.circuits.search_plan import PlannedStage, SearchPlan
from circuitspex.components import Latents, Selector
from circuitspex.components.edges import is_of_edges
from circuitspex.errors import NoGradientError, UserError
from circuitspex.games import ComponentGame
from circuitspex.masks import Keep, sample_masks
from circuitspex.models.given import GivenModel
from circuitspex.recovery import Method
from circuitspex.scale import whole
from circuitspex.tasks import Task

MOST_TIMED = 4096


def plan(
    model: GivenModel,
    task: Task | str | Path,
    components: Selector = "heads",
    baseline: str | None = None,
    budget: int | None = None,
    *,
    latents: Latents | Sequence[Latents] | None = None,
    keep: Keep | Literal["auto"] = 0.5,
    method: Method = "auto",
    max_nodes: int = 16,
    max_interactions: int = 12,
    n_heldout: int = 200,
    n_contexts: int = 16,
    n_random: int = 20,
    heldout: Task | str | Path | None = None,
    executor: Executor = "auto",
    precision: Precision = "model",
    seed: int = 0,
    timed: int = 8,
) -> SearchPlan:
    """What ``find_circuit`` would cost with these options: ablations by stage, passes, memory, and measured time.

    A few masks are run, twice with and twice without gradients, and the second time counts. The numbers of ablations
    are upper ends: masks that stages share are run once, and measuring ends early where intervals are narrow; it is
    counted for pairs. The pilot of ``keep='auto'``, directions and refinement come on top.

    Args:
        timed: how many masks are run together to measure the time.
        model, task, components, baseline, budget, latents, keep, method: as in ``find_circuit``.
        max_nodes, max_interactions, n_heldout, n_contexts, n_random, heldout, executor, precision, seed: the same.

    Raises:
        NoGradientError: the method needs gradients, and the metric has none.
        UserError: as in ``find_circuit``; components are edges, whose search ends by itself.
    """
    if is_of_edges(components):
        raise UserError("plan is for components; a search among edges runs its budget of passes, and as many again")
    budget, baseline = Options.budget if budget is None else budget, baseline or "mean"
    options = Options.of(locals())
    seed = options.seed
    timed = whole(timed, "timed", 1, MOST_TIMED)
    model, task, others = prepared(model, task, baseline, heldout, components, None)
    if others is None:
        task, others = hold_out(task, seed)
    game = options.game(model, task, components, baseline)
    kept_bytes = options.check_memory(game.n_players)
    forward = _seconds(game, timed, seed, gradients=False)
    backward = None
    if options.gradients is not False:
        try:
            backward = _seconds(game, timed, seed, gradients=True)
        except NoGradientError:
            if options.gradients:
                raise
    contexts = MORE_CONTEXTS * options.n_contexts
    n = task.n_prompts
    stages = [
        PlannedStage("decoding", options.budget, n, gradients=backward is not None),
        PlannedStage("R²", options.n_heldout, n),
        # Around each context all others stay: one more mask for a component, three for a pair.
        PlannedStage("measuring", (contexts + 1) * (1 + options.max_nodes + 3 * options.max_interactions), n),
    ]
    if others is not None:
        stages.append(PlannedStage("verifying", 4 + 2 * options.n_random, others.n_prompts))
    return SearchPlan(
        n_components=game.n_players,
        n_prompts=n,
        n_tokens=max(len(group.tokens[0]) for group in task.groups),
        executor=game.executor,
        stages=tuple(stages),
        timed=timed,
        seconds_forward=forward,
        seconds_backward=backward,
        weights_bytes=sum(each.numel() * each.element_size() for each in model.parameters()),
        kept_bytes=kept_bytes,
    )


def _seconds(game: ComponentGame, count: int, seed: int, *, gradients: bool) -> float:
    """Of one ablation of all prompts, when so many run together; what the first run prepares is not counted."""
    masks = sample_masks(game.n_players, 2 * count, seed=seed)
    took = 0.0
    for part in (masks[:count], masks[count:]):
        start = time.perf_counter()
        game.evaluate(part, gradients=gradients, progress=False)
        took = time.perf_counter() - start
    return took / count
