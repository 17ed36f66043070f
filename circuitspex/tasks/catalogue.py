"""The built-in tasks by name, and tasks from a name or a file."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from circuitspex.errors import TaskError
from circuitspex.models.protocol import Model
from circuitspex.tasks._capitals import capitals
from circuitspex.tasks._gendered_pronoun import gendered_pronoun
from circuitspex.tasks._greater_than import greater_than
from circuitspex.tasks._induction import induction
from circuitspex.tasks._ioi import ioi
from circuitspex.tasks.task import Task

BUILTIN: dict[str, Callable[..., Task]] = {
    "ioi": ioi,
    "greater_than": greater_than,
    "induction": induction,
    "capitals": capitals,
    "gendered_pronoun": gendered_pronoun,
}
"""The built-in tasks; each is called with a model, and maybe ``n_prompts``, ``seed``, ``metric``, ``prepend_bos``."""


def build(name_or_path: str | Path, model: Model, **options: Any) -> Task:
    """A built-in task by its name, or the task of a ``.jsonl`` file.

    ``options`` are those of the built-in task, or of :meth:`Task.from_jsonl`; another one is a :class:`TaskError`.
    """
    name = str(name_or_path)
    builder: Callable[..., Task]
    first: tuple[Any, ...]
    if name in BUILTIN:
        builder, first = BUILTIN[name], (model,)
    elif name.endswith(".jsonl"):
        builder, first = Task.from_jsonl, (name_or_path, model)
    else:
        raise TaskError(f"unknown task '{name}'; use one of {', '.join(BUILTIN)}, or the path of a .jsonl file")
    allowed = list(inspect.signature(builder).parameters)[len(first) :]
    for option in options:
        if option not in allowed:
            raise TaskError(f"task '{name}' has no option '{option}'; its options are {', '.join(allowed)}")
    return builder(*first, **options)
