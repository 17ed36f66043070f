"""``find_edges``: circuits of edges at every size, from a model and a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from circuitspex.ablation import Store, store_at
from circuitspex.ablation.edges.baselines import check_edge_baseline
from circuitspex.ablation.edges.engine import EdgeExecutor, check_edge_executor
from circuitspex.circuits.edge_circuits import EdgeCircuits
from circuitspex.circuits.search.edges.search_edges import search_edges
from circuitspex.circuits.search.rounds.by_rounds import check_budget
from circuitspex.circuits.search.rounds.prompts import parted
from circuitspex.components._select_edges import check_edge_selector
from circuitspex.components.edges import EdgeSelector
from circuitspex.games import EdgeGame
from circuitspex.games.workers.ray_workers import RayWorkers
from circuitspex.models import model_of
from circuitspex.models.given import GivenModel
from circuitspex.scale import check_seed
from circuitspex.tasks import Task, check_task, task_of


def find_edges(
    model: GivenModel,
    task: Task | str | Path,
    edges: EdgeSelector = "edges",
    baseline: str = "resample",
    budget: int = 40,
    *,
    sizes: Sequence[int] = (),
    ungrouped: bool = False,
    left_out: Task | None = None,
    executor: EdgeExecutor = "auto",
    store: Store | str | Path | None = None,
    workers: RayWorkers | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> EdgeCircuits:
    """Find, for each size, which edges of a model do a task.

    Slopes of the metric in the gates of all edges are taken on the way from all closed to all open, then round by round
    near the circuits of every size that they choose. Rounds stop where circuits chosen by the slopes on some of the
    prompts are no better on the others. ``find_circuit(components="edges")`` does this and measures the strongest edges
    and their interactions.

    Args:
        model: a TransformerBridge, a Hugging Face model, or the name of one.
        task: prompts and metric; or the name of a built-in task, or a ``.jsonl`` file.
        edges: a selector ('edges', 'edges:ungrouped', 'layers[20:30].edges', …); others stay open.
        baseline: what closed edges carry: 'resample', 'mean' or 'zero'.
        budget: passes with gradients, at most; 5 for the start, one for each of about seven sizes a round.
        sizes: numbers of edges; by default MIB's shares, .1 to 100 %.
        ungrouped: whether each query head has keys and values of its own, as MIB counts edges.
        left_out: prompts to stop by; by default three in eight of the task's. Their slopes count too.
        executor, store, workers: as in ``EdgeGame``.
        seed: says which prompts are left out.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        ComponentError, TaskError: as in ``EdgeGame``.
        UserError: a budget below 6, sizes that there are not, or a metric that is the same with all edges closed.
    """
    check_task(task)
    check_edge_selector(edges)
    check_edge_baseline(baseline)
    check_edge_executor(executor)
    check_budget(budget, "edges")
    seed, kept = check_seed(seed), store_at(store)
    model = model_of(model)
    task = task_of(task, model)
    if left_out is None:
        task, left_out = parted(task, seed)
    game = EdgeGame(model, task, edges, baseline, ungrouped=ungrouped, executor=executor, store=kept, workers=workers)
    return search_edges(game, game.on(left_out), budget, sizes, progress=progress)
