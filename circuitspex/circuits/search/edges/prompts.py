"""Which prompts slopes of edges are taken on, and which are left out, to say when to stop and what to choose."""

from __future__ import annotations

from circuitspex.tasks import Task

LEFT_OUT = 0.375
"""The share of prompts that no slope is taken on."""


def parted(task: Task, seed: int) -> tuple[Task, Task]:
    """The prompts that slopes are taken on, and those left out; with one prompt, that one is both."""
    if task.n_prompts < 2:
        return task, task
    return task.split(LEFT_OUT, seed=seed)
