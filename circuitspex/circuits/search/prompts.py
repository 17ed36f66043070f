"""The prompts of a search: which to find the circuit on, and which to verify it on."""

from __future__ import annotations

from circuitspex.errors import TaskError
from circuitspex.tasks import Task


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
