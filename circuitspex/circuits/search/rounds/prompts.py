"""Which prompts choose circuits that the others judge, to say when to stop."""

from __future__ import annotations

from circuitspex.tasks import Task

LEFT_OUT = 0.375
"""The share of prompts that say which rounds are good, and whose slopes count once the rounds have ended."""


def parted(task: Task, seed: int) -> tuple[Task, Task]:
    """The prompts that choose, and those left out to judge; with one prompt, that one is both."""
    if task.n_prompts < 2:
        return task, task
    return task.split(LEFT_OUT, seed=seed)
