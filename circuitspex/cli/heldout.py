"""The prompts of ``circuitspex verify``: those that a circuit was found on, and others that its search has not seen.

What a search has seen is known from the file of the circuit, which holds its prompts, or from the identity of its task
where the same prompts can be made again. Where neither says it, no prompt is called held out.
"""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.cli.again import has_prompts, task_again
from circuitspex.errors import TaskError

if TYPE_CHECKING:
    from circuitspex.circuits import Circuit
    from circuitspex.models.protocol import Model
    from circuitspex.tasks import Task


def prompts_to_verify(
    circuit: Circuit, model: Model, name: str | None, *, heldout: str | None, n_prompts: int | None, path: Path
) -> tuple[Task, Task]:
    """The task that the circuit was found on, and held-out prompts that are none of its.

    Args:
        circuit: what was found.
        model: the model that it was found in.
        name: of its task, or a file; None takes the prompts that the circuit's file holds.
        heldout: a file (or the name of a task) with held-out prompts; None takes those that ``find`` takes, and of a
            file with other prompts than the circuit was found on all these others.
        n_prompts: how many fresh ones of a built-in task.
        path: of the circuit's file, for messages.

    Raises:
        TaskError: the circuit was found on all of them, or it is not known which it was found on.

    Warns:
        UserWarning: where some of them are left out, or others are taken than ``find`` verified it on.
    """
    from circuitspex.circuits.record import recorded_prompts
    from circuitspex.circuits.search.prompts import heldout_of, hold_out, not_seen
    from circuitspex.tasks import is_file

    seed = int(circuit.run.get("seed") or 0)
    task = task_again(circuit, model, name)
    found_on, others = hold_out(task, seed)  # as find does
    identity = circuit.task.get("identity")
    if name is None or identity == task.identity:
        found_on, others = task, None if others is None or is_part(others, task) else others
    elif identity != found_on.identity:
        if not has_prompts(circuit):
            raise TaskError(
                f"the prompts of task '{name}' here are not those that {path} was found on, and it does not hold "
                "those: none can be called held out; give the file that it was found on with --task"
            )
        warnings.warn(
            f"the prompts of task '{name}' here are not those that the circuit was found on; these are taken from "
            f"{path}",
            stacklevel=2,
        )
        found_on, others = task_again(circuit, model, None), task if is_file(name) else others
    if heldout is not None:
        others = heldout_of(heldout, found_on, model)
    elif n_prompts is not None:
        with contextlib.suppress(TaskError):
            others = task.fresh(n_prompts, seed=seed + 104729)
    if others is None:
        said = circuit.run.get("heldout", {})
        where = f" (find verified it on '{said['name']}')" if "name" in said else ""
        raise TaskError(
            f"the circuit was found on all prompts of task '{task.name}': none is held out; give others with "
            f"--heldout FILE{where}"
        )
    return found_on, not_seen(others, [*found_on.prompts, *recorded_prompts(circuit.task)])


def is_part(some: Task, task: Task) -> bool:
    """Whether these prompts are among those of the task."""
    return set(some.prompts) <= set(task.prompts)
