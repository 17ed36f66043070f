"""The model and the prompts of a search: what was given, checked before a model is loaded, and prompts to verify on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from circuitspex.ablation import check_baseline
from circuitspex.components import Selector, check_levels_spelled, check_selector
from circuitspex.components.edges import EdgeSelector
from circuitspex.errors import TaskError
from circuitspex.models import model_of
from circuitspex.models.given import GivenModel
from circuitspex.models.protocol import Model
from circuitspex.tasks import Task, check_task, task_of


def check_given(
    task: Task | str | Path, baseline: str, components: Selector | EdgeSelector, *, edges: bool = False
) -> None:
    """What can be said of these before a model is loaded.

    Raises:
        UserError: no such task, baseline or kind of component.
    """
    check_task(task)
    check_baseline(baseline)
    check_selector(components, edges=edges)


def prepared(
    model: GivenModel,
    task: Task | str | Path,
    baseline: str,
    heldout: Task | str | Path | None,
    components: Selector | EdgeSelector,
    levels: Sequence[str] | None = None,
) -> tuple[Model, Task, Task | None]:
    """The model, the task and the held-out task that were given, by name or as they are; names are checked first.

    Raises:
        UserError: no such task, baseline, kind of component or model.
    """
    check_given(task, baseline, components if levels is None else "heads", edges=True)
    check_levels_spelled(() if levels is None else levels)
    if heldout is not None:
        check_task(heldout)
    taken = model_of(model)
    return taken, task_of(task, taken), None if heldout is None else task_of(heldout, taken)


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
