"""The model and the prompts of a search: what was given, checked before a model is loaded, and prompts to verify on."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from circuitspex.ablation import check_baseline
from circuitspex.components import Selector, check_levels_spelled, check_selector
from circuitspex.components.edges import EdgeSelector
from circuitspex.errors import TaskError
from circuitspex.models import model_of
from circuitspex.models.given import GivenModel
from circuitspex.models.protocol import Model
from circuitspex.tasks import Task, build, check_task, is_file, task_of


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
        UserError: no such task, baseline, kind of component or model; the circuit would be found on all held-out
            prompts.

    Warns:
        UserWarning: where it would be found on some of them, which are left out.
    """
    check_given(task, baseline, components if levels is None else "heads", edges=True)
    check_levels_spelled(() if levels is None else levels)
    if heldout is not None:
        check_task(heldout)
    taken = model_of(model)
    task = task_of(task, taken)
    return taken, task, None if heldout is None else not_seen(heldout_of(heldout, task, taken), task.prompts)


def heldout_of(given: Task | str | Path, task: Task, model: Model) -> Task:
    """Held-out prompts for this task: those of a ``Task`` of the same metric as they are; a named task's or a file's in
    its metric.

    Means are taken over the reference prompts of ``task``, so that an ablation is the same on both; where these lack a
    length that the file has, over the file's own.

    Raises:
        UserError: no such task or file, one whose answers the metric can't take, or a ``Task`` of another metric.
    """
    if isinstance(given, Task):
        return in_one_metric(given, task)
    if not is_file(given):
        return build(given, model).with_metric(task.metric)
    options = {"metric": task.metric, "group_by_length": True}
    try:
        return build(given, model, reference=task.reference, **options)
    except TaskError as error:
        if "no reference prompt has" not in str(error):
            raise
        return build(given, model, **options)


def in_one_metric(heldout: Task, task: Task) -> Task:
    """The held-out prompts as they are.

    Raises:
        TaskError: what is measured on them is not what the task measures, so that no number would compare.
    """
    if not isinstance(heldout, Task):
        raise TaskError(f"heldout is a task, from cx.tasks or Task.from_examples, not {str(heldout)[:40]!r}")
    one, other = heldout.metric, task.metric
    if (one.name, one.fingerprint) != (other.name, other.fingerprint):
        twice = " (two functions of one name)" if one.name == other.name else ""
        raise TaskError(
            f"the held-out prompts measure '{one.name}' and the task '{other.name}'{twice}; give "
            "heldout.with_metric(task.metric)"
        )
    return heldout


def not_seen(heldout: Task, seen: Iterable[str]) -> Task:
    """The held-out prompts without those that a search has seen, by their text.

    Raises:
        TaskError: there are no others.

    Warns:
        UserWarning: where some are left out.
    """
    known = frozenset(seen)
    left = [i for i, prompt in enumerate(heldout.prompts) if prompt not in known]
    n_seen = heldout.n_prompts - len(left)
    if not left:
        raise TaskError(
            f"the circuit is found on all {n_seen} held-out prompts of '{heldout.name}': none is held out; give others"
        )
    if n_seen:
        warnings.warn(
            f"the circuit is found on {n_seen} of the {heldout.n_prompts} held-out prompts of '{heldout.name}': these "
            f"are left out, and {len(left)} are held out",
            stacklevel=3,
        )
    return heldout.subset(left) if n_seen else heldout


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
