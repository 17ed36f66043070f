"""``find_nodes``: circuits of components at every size, from a model and a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from circuitspex.ablation import Store, store_at
from circuitspex.ablation.baselines import check_baseline
from circuitspex.circuits.node_circuits import NodeCircuits, first_of
from circuitspex.circuits.search.rounds.by_rounds import check_budget, search_by_rounds
from circuitspex.circuits.search.rounds.prompts import parted
from circuitspex.circuits.sized_circuits import SizedCircuit
from circuitspex.components import Selector
from circuitspex.components.spelling import check_selector
from circuitspex.games import ComponentGame
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.models import model_of
from circuitspex.models.given import GivenModel
from circuitspex.scale import check_seed
from circuitspex.tasks import Task, check_task, task_of
from circuitspex.typing import IntArray


def find_nodes(
    model: GivenModel,
    task: Task | str | Path,
    components: Selector = "heads+mlps",
    baseline: str = "resample",
    budget: int = 40,
    *,
    sizes: Sequence[int] = (),
    left_out: Task | None = None,
    store: Store | str | Path | None = None,
    workers: RayWorkers | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> NodeCircuits:
    """Find, for each size, which components of a model do a task.

    The search of ``find_edges`` among components: slopes of the metric in all gates are taken on the way from all
    ablated to all kept, then round by round near the circuits of every size that they choose. For circuits that are to
    be scored at every size, as MIB's protocol does; ``find_circuit`` decodes one function of all masks, which also says
    what interacts.

    Args:
        model: a TransformerBridge, a Hugging Face model, or the name of one.
        task: prompts and metric; or the name of a built-in task, or a ``.jsonl`` file.
        components: a selector, as in ``ComponentGame``.
        baseline: what ablated components give: 'resample', 'mean', 'mean_vector' or 'zero'.
        budget: passes with gradients, at most; 5 for the start, one for each of about seven sizes a round.
        sizes: numbers of components; by default MIB's shares, .1 to 100 %.
        left_out: prompts to stop by; by default three in eight of the task's. Their slopes count too.
        store, workers: as in ``ComponentGame``.
        seed: says which prompts are left out.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        ComponentError, TaskError: as in ``ComponentGame``.
        UserError: a budget below 6, sizes that there are not, or a metric that is the same with everything ablated.
    """
    check_task(task)
    check_selector(components, edges=False)
    check_baseline(baseline)
    check_budget(budget)
    seed, kept = check_seed(seed), store_at(store)
    model = model_of(model)
    task = task_of(task, model)
    game = ComponentGame(model, task, components, baseline, store=kept, workers=workers)
    if left_out is None:
        return search_nodes(*games_of(game, seed), budget, sizes, progress=progress)
    return search_nodes(game, game.on(left_out), budget, sizes, progress=progress)


def games_of(game: ComponentGame, seed: int) -> tuple[ComponentGame, ComponentGame]:
    """The game on the prompts that choose, and on those that are left out to judge."""
    seen, left_out = parted(game.task, seed)
    return game.on(seen), game.on(left_out)


def search_nodes(
    game: ComponentGame,
    left_out: ComponentGame,
    budget: int = 40,
    sizes: Sequence[int] = (),
    *,
    progress: bool | None = None,
) -> NodeCircuits:
    """Circuits of every size among the components of a game; the arguments are those of ``search_by_rounds``."""
    names = tuple(game.names)

    def choose(order: IntArray, size: int) -> SizedCircuit:
        return first_of(names, order, size)

    return NodeCircuits(components=names, **search_by_rounds(game, left_out, choose, budget, sizes, progress=progress))
