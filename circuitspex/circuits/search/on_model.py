"""A search on a model: what comes on top of what every search does, directions and the check on held-out prompts."""

from __future__ import annotations

from typing import Any

from circuitspex.circuits.evidence._strongest import Remembered
from circuitspex.circuits.evidence._verify import verify
from circuitspex.circuits.evidence.direction import with_directions
from circuitspex.circuits.found import Found
from circuitspex.circuits.search._search import Plan, search
from circuitspex.errors import TaskError
from circuitspex.games import ComponentGame, GroupedGame
from circuitspex.tasks import Task, TaskReport


def found_on_model(
    game: ComponentGame | GroupedGame,
    plan: Plan,
    report: TaskReport,
    heldout: Task | None,
    *,
    directions: bool,
    n_random: int,
    more: dict[str, Any] | None = None,
) -> Found:
    """The whole search of ``find_circuit`` in a game that is made.

    Args:
        game: components of a model, or groups of them; directions are only told between components.
        plan: what the search is asked for.
        report: how well the model does the task.
        heldout: the prompts to verify on, if there are any.
        directions: see ``find_circuit``.
        n_random: see ``find_circuit``.
        more: further fields of the run's record.
    """
    done = search(game, plan)
    done.more |= more or {}
    if directions and isinstance(game, ComponentGame):
        few = done.contexts[: max(2, plan.n_contexts // 2)]
        done.edges = with_directions(
            game, done.edges, few, evaluate=done.counter, seed=plan.seed, progress=plan.progress
        )
        done.clock.mark("directions")
    games: list[ComponentGame | GroupedGame] = [game]
    if heldout is not None and done.nodes:
        games.append(game.on(heldout))
        others = Remembered(games[-1], plan.progress, "verifying")
        place = {name: index for index, name in enumerate(game.names)}
        members = [place[node.name] for node in done.nodes]
        done.verification = verify(others, game.n_players, members, n_random=n_random, seed=done.seeds[4])
    done.clock.mark("verify")
    circuit = done.circuit({"accuracy": report.accuracy, "unablated": report.mean_metric})
    stored, ran = (sum(getattr(one, name) for one in games) for name in ("n_stored", "n_run"))
    return Found(circuit, done.interactions, done.run, report, done.curve, done.pilot, stored, ran, done.refined)


def hold_out(task: Task, seed: int) -> tuple[Task, Task | None]:
    """The task to find the circuit on, and prompts to verify it on; None where there is only one prompt."""
    try:
        return task, task.fresh(max(2, task.n_prompts), seed=seed + 1)
    except TaskError:
        pass
    try:
        return task.split(0.25, seed=seed)
    except TaskError:
        return task, None
