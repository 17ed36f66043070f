"""``circuitspex describe``: what each component of a circuit does."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.cli.again import OF_THE_CIRCUIT, has_prompts, how_loaded, known_task, said, task_again
from circuitspex.cli.options import (
    LOADING,
    arguments,
    names_of,
    shared_options,
    verb_parser,
    whole_number,
    writable_folder,
)
from circuitspex.cli.result import finish
from circuitspex.errors import UserError
from circuitspex.tasks import TASKS, is_file

if TYPE_CHECKING:
    from circuitspex.circuits import Circuit, Description

EXAMPLE = "circuitspex describe runs/ioi/circuit.json"
FILES = {"json": "circuit.json", "html": "circuit.html"}
TEXT = "description.txt"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(
        verbs, "describe", "say what each component does: what it looks at, writes, reads, feeds", EXAMPLE
    )
    parser.add_argument("circuit", type=Path, help="a circuit.json that find wrote")
    parser.add_argument("--model", help="the model (default: the one that the circuit names)")
    parser.add_argument("--task", help="the task (default: the one that the circuit names); a .jsonl of your own")
    about = "how many prompts of a built-in task (default: as many as the circuit was found on)"
    parser.add_argument("--prompts", type=whole_number(1), help=about)
    about = "components to describe, separated by commas (default: all of the circuit)"
    parser.add_argument("--only", metavar="NAMES", type=names_of, help=about)
    shared_options(
        parser,
        *("latents", "seed", *LOADING, "revision", "out"),
        **OF_THE_CIRCUIT,
        out={"help": "folder for circuit.json and circuit.html with the description (default: those of the circuit)"},
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.circuits import Circuit, formats
    from circuitspex.circuits.roles._describe import describe
    from circuitspex.circuits.roles.found_on import components_in
    from circuitspex.components import Latents
    from circuitspex.export.files.description import to_json
    from circuitspex.models import load_model
    from circuitspex.models.sources import check_model

    circuit = Circuit.load(options.circuit)
    components_in(circuit, options.only)
    name = options.model or said(circuit.model, "name", "--model")
    how = how_loaded(options, circuit)
    task_name = _task_name(options, circuit)
    if options.prompts is not None and (task_name is None or is_file(task_name)):
        raise UserError(f"--prompts is for built-in tasks, not for {task_name or 'prompts that the circuit holds'}")
    check_model(name, **how)
    options.latents = [Latents.load(path) for path in options.latents]
    names = FILES if options.out else {"json": options.circuit.name, "html": f"{options.circuit.stem}.html"}
    folder = writable_folder(options.out or options.circuit.parent, [*names.values(), TEXT] if options.out else [TEXT])
    model = load_model(name, **how)
    task = task_again(circuit, model, task_name, options.prompts)
    if options.task is None and options.prompts is None and circuit.task.get("identity") not in (None, task.identity):
        if task_name is not None and has_prompts(circuit):
            task = task_again(circuit, model, None)
        if circuit.task["identity"] != task.identity:
            warnings.warn(
                "the prompts here, or those over which baselines are taken, are not those that the circuit was found "
                "with; give its task with --task",
                stacklevel=2,
            )
    found = describe(circuit, model, task, **arguments(options, describe))
    described = circuit.described(_with_earlier(circuit, found))
    written = [described.export(form, folder / file) for form, file in names.items()]
    written.append(formats.write(found, "text", folder / TEXT))
    return finish(options, "description", lambda: to_json(found), str(found), written)


def _with_earlier(circuit: Circuit, found: Description) -> Description:
    """With what the file says of other components, measured in the same way; a warning where that must go."""
    earlier = circuit.description
    if earlier is None or set(earlier) <= set(found):
        return found
    fields = ("model", "task", "n_prompts", "seed")
    if any(getattr(earlier, name) != getattr(found, name) for name in fields):
        gone = ", ".join(name for name in earlier if name not in found)
        warnings.warn(f"the description of {gone} was of other prompts or another seed, and is gone", stacklevel=2)
        return found
    names = [node.name for node in circuit.nodes]
    both = {about.name: about for about in (*earlier.components, *found.components)}
    kept = tuple(sorted(both.values(), key=lambda about: names.index(about.name)))
    return replace(found, components=kept, breakdown=earlier.breakdown or found.breakdown)


def _task_name(options: argparse.Namespace, circuit: Circuit) -> str | None:
    """The name of the task; None where its prompts are in the file, and no task is known by the name there."""
    if options.task is None and has_prompts(circuit) and circuit.task.get("name") not in TASKS:
        return None
    return known_task(options.circuit, circuit, options.task)
