"""``circuitspex describe``: what each component of a circuit does."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.cli.again import OF_THE_CIRCUIT, has_prompts, how_loaded, known_task, said, task_again
from circuitspex.cli.options import LOADING, arguments, shared_options, verb_parser, whole_number, writable_folder
from circuitspex.cli.result import finish
from circuitspex.tasks import TASKS

if TYPE_CHECKING:
    from circuitspex.circuits import Circuit

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
    parser.add_argument("--only", metavar="NAMES", type=lambda text: text.split(","), help=about)
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
    described = circuit.described(found)
    written = [described.export(form, folder / file) for form, file in names.items()]
    written.append(formats.write(found, "text", folder / TEXT))
    return finish(options, "description", lambda: to_json(found), str(found), written)


def _task_name(options: argparse.Namespace, circuit: Circuit) -> str | None:
    """The name of the task; None where its prompts are in the file, and no task is known by the name there."""
    if options.task is None and has_prompts(circuit) and circuit.task.get("name") not in TASKS:
        return None
    return known_task(options.circuit, circuit, options.task)
