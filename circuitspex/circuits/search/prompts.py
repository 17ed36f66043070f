"""The prompts of a search: which to find the circuit on, which to verify it on, and how well the model does them."""

from __future__ import annotations

from typing import Any

from circuitspex.errors import TaskError
from circuitspex.tasks import Task, TaskReport


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


def report_fields(report: TaskReport) -> dict[str, Any]:
    """What ``circuit.json`` says of how well the model does the task."""
    return {"accuracy": report.accuracy, "unablated": report.mean_metric}
