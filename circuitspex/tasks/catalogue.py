"""The tasks by name, and tasks from a name or a file.

Nothing is imported until a task is built. Another package adds one through the entry points of ``circuitspex.tasks``,
each of which names a ``NamedTask``.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import TaskError
from circuitspex.models.protocol import Model
from circuitspex.registry import Later, Table

if TYPE_CHECKING:
    from circuitspex.tasks.task import Task


@dataclass(frozen=True)
class NamedTask:
    """A task that can be built for any model.

    ``build`` is called with a model, and maybe with ``n_prompts``, ``seed``, ``metric`` and options of its own that its
    signature names; it gives a ``Task``. ``about`` says in a line what a model has to do.
    """

    build: Callable[..., Task]
    about: str


def _built_in(name: str, about: str) -> NamedTask:
    return NamedTask(Later(f"circuitspex.tasks._{name}:{name}"), about)


TASKS: Table[NamedTask] = Table(
    "task",
    NamedTask,
    "circuitspex.tasks",
    {
        "ioi": _built_in("ioi", "who was given something, after two people went somewhere"),
        "greater_than": _built_in("greater_than", "a span of years whose end must come after its start"),
        "induction": _built_in("induction", "random words, repeated: the next word is the one that followed before"),
        "capitals": _built_in("capitals", "the capital of a country"),
        "gendered_pronoun": _built_in("gendered_pronoun", "the pronoun that fits a name"),
    },
    besides=", or the path of a .jsonl file",
    error=TaskError,
)
"""All tasks by name."""


def check_name(name_or_path: str | Path) -> None:
    """Nothing where ``build`` can begin; no model is needed for this.

    Raises:
        UserError: no task has this name, another package's can't be loaded, or the file can't be read.
    """
    name = str(name_or_path)
    if name in TASKS or not name.endswith(".jsonl"):
        TASKS[name]
    elif not os.access(name, os.R_OK):
        raise TaskError(f"can't read task file {name}: {'no such file' if not Path(name).exists() else 'not allowed'}")


def build(name_or_path: str | Path, model: Model, **options: Any) -> Task:
    """A task by its name, or the task of a ``.jsonl`` file.

    ``options`` are those of the named task, or of :meth:`Task.from_jsonl`; another one is a :class:`TaskError`.
    """
    name = str(name_or_path)
    builder: Callable[..., Task]
    first: tuple[Any, ...]
    if name not in TASKS and name.endswith(".jsonl"):
        from circuitspex.tasks.task import Task

        builder, first = Task.from_jsonl, (name_or_path, model)
    else:
        builder, first = TASKS[name].build, (model,)
    allowed = list(inspect.signature(builder).parameters)[len(first) :]
    for option in options:
        if option not in allowed:
            raise TaskError(f"task '{name}' has no option '{option}'; its options are {', '.join(allowed)}")
    return builder(*first, **options)
