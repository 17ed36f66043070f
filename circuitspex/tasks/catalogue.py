"""The tasks by name, and tasks from a name or a file.

Nothing is imported until a task is built. Another package adds one through the entry points of ``circuitspex.tasks``,
each of which names a ``NamedTask``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import TaskError
from circuitspex.models.given import bridged
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
    besides=", or the path of a .jsonl, .json or .csv file",
    error=TaskError,
)
"""All tasks by name."""


def check_name(name_or_path: str | Path) -> None:
    """Nothing where ``build`` can begin; no model is needed for this.

    Raises:
        UserError: no task has this name, another package's can't be loaded, or the file can't be read.
    """
    name = str(name_or_path)
    if not is_file(name):
        TASKS[name]
    else:
        from circuitspex.tasks.jsonl import read_lines
        from circuitspex.tasks.mib_rows import is_rows, read_rows

        (read_rows if is_rows(name) else read_lines)(name)


def check_task(given: object, **options: Any) -> None:
    """What can be said of a task without a model: of a name or a file, and of the options of ``build``.

    Raises:
        UserError: it is no task, no such task or file, or it does not have one of these options.
    """
    from circuitspex.tasks.task import Task

    if isinstance(given, Task):
        return
    if not isinstance(given, str | Path):
        raise TaskError(f"a task is a Task, a name ({', '.join(TASKS)}) or a file, not {type(given).__name__}")
    check_name(given)
    _builder(str(given), options)


def task_of(given: Task | str | Path, model: Model) -> Task:
    """The task itself; one that is named, or a ``.jsonl`` file, is built for this model.

    Raises:
        UserError: what ``check_task`` refuses, and what the task can't be built of.
    """
    check_task(given)
    return build(given, model) if isinstance(given, str | Path) else given


def build(name_or_path: str | Path, model: Model, **options: Any) -> Task:
    """A task by its name, or the task of a file: our own ``.jsonl``, or one of MIB's or EAP-IG's data sets.

    ``options`` are those of the named task, of :meth:`Task.from_jsonl`, or of ``from_mib``; another one is a
    :class:`TaskError`.
    """
    name, model = str(name_or_path), bridged(model)
    if is_file(name):
        return _builder(name, options)(name_or_path, model, **options)
    return _builder(name, options)(model, **options)


def is_file(name_or_path: str | Path) -> bool:
    """Whether it is the path of a task file, by its ending, and no name of a task."""
    name = str(name_or_path)
    return name not in TASKS and name.endswith((".jsonl", ".csv", ".json"))


def _of_file(name: str) -> Callable[..., Task]:
    """What makes a task of a file: our own kind, or rows of MIB's or EAP-IG's data sets."""
    from circuitspex.tasks._from_mib import from_mib
    from circuitspex.tasks.mib_rows import is_rows
    from circuitspex.tasks.task import Task

    return from_mib if is_rows(name) else Task.from_jsonl


def _builder(name: str, options: Mapping[str, Any]) -> Callable[..., Task]:
    """What builds a task; all of the options are its own."""
    builder: Callable[..., Task] = _of_file(name) if is_file(name) else TASKS[name].build
    allowed = list(inspect.signature(builder).parameters)[2 if is_file(name) else 1 :]
    for option in options:
        if option not in allowed:
            raise TaskError(f"task '{name}' has no option '{option}'; its options are {', '.join(allowed)}")
    return builder
