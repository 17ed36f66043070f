"""What a circuit's file says it was found on, so that a verb can go on from it: the model and the task."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import TaskError, UserError
from circuitspex.tasks import check_name, is_file

if TYPE_CHECKING:
    from circuitspex.circuits import Circuit
    from circuitspex.models.protocol import Model
    from circuitspex.tasks import Task


def said(facts: Any, key: str, option: str) -> str:
    """What the file says; a UserError that names the option to give where it does not."""
    value = facts.get(key)
    if not value:
        raise UserError(f"the circuit does not say its {key}; give {option}")
    return str(value)


def known_task(path: Path, circuit: Circuit, given: str | None, why: str = "") -> str:
    """The name of the task, checked as far as that needs no model.

    Args:
        path: of the circuit's file.
        circuit: what is in it.
        given: the task that was asked for, if one was.
        why: where only the circuit's own task is allowed, the reason in words.
    """
    name = given or said(circuit.task, "name", "--task")
    was = circuit.task.get("name")
    if why and was and name != was and not is_file(name):
        raise UserError(f"{path} was found on the task '{was}', not '{name}': {why}")
    try:
        check_name(name)
    except TaskError as error:
        if given:
            raise
        raise TaskError(f"{error}; give the prompts that the circuit was found on with --task") from error
    return str(name)


OF_THE_CIRCUIT = {
    "dtype": {"help": "float32, float64, bfloat16 or float16 (default: the circuit's)"},
    "quantization": {"help": "8bit or 4bit weights (default: as the circuit's model had)"},
}
"""What is different of the options of how a model is loaded, where a circuit says that."""


def how_loaded(options: argparse.Namespace, circuit: Circuit) -> dict[str, Any]:
    """The arguments of ``load_model``: what was asked for, else what the circuit's file says of its model.

    A verb without the option ``--quantization`` works with whole weights, however the circuit was found.
    """
    how = {name: getattr(options, name, None) for name in ("device", "device_map", "dtype", "quantization", "revision")}
    of_circuit = [name for name in ("dtype", "quantization") if hasattr(options, name)]
    return how | {name: how[name] or circuit.model.get(name) for name in of_circuit}


def has_prompts(circuit: Circuit) -> bool:
    """Whether the file holds all prompts that the circuit was found on, with what a task is made of."""
    kept = circuit.task.get("prompts")
    whole = isinstance(kept, list | tuple) and bool(kept) and len(kept) == circuit.task.get("n_prompts")
    return whole and all("counterfactual" in each for each in kept or ())


def task_again(circuit: Circuit, model: Model, name: str | None, n_prompts: int | None = None) -> Task:
    """The task of that name with the circuit's metric, and with as many prompts as it was found on.

    Without a name it is made of the prompts in the file.
    """
    from circuitspex.tasks import Example, Task, build

    metric = {"metric": circuit.task["metric"]} if circuit.task.get("metric") else {}
    if name is None:
        fields = ("prompt", "counterfactual", "answer", "wrong_answer")
        examples = [
            Example(**{field: each[field] for field in fields}, positions=each.get("positions", {}))
            for each in circuit.task["prompts"]
        ]
        title, reference = str(circuit.task.get("name") or "custom"), circuit.task.get("reference")
        made = [
            Task.from_examples(
                model, examples, name=title, group_by_length=True, prepend_bos=bos, reference=reference, **metric
            )
            for bos in (None, True, False)
        ]
        return next((task for task in made if task.identity == circuit.task.get("identity")), made[0])
    if is_file(name):
        return build(name, model, **metric, group_by_length=True)
    count = circuit.task.get("n_prompts")
    was = count if isinstance(count, int) and count > 0 else 16
    return build(name, model, **metric, n_prompts=n_prompts or was)
