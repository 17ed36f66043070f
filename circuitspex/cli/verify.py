"""``circuitspex verify``: examine a circuit on held-out prompts, beside attribution patching and random circuits."""

from __future__ import annotations

import argparse
import contextlib
import warnings
from pathlib import Path
from typing import Any

from circuitspex.cli.again import known_task, said, task_again
from circuitspex.cli.options import arguments, shared_options, verb_parser, whole_number, writable_folder
from circuitspex.cli.result import finish
from circuitspex.errors import TaskError, UserError
from circuitspex.models.protocol import Model

EXAMPLE = "circuitspex verify runs/ioi/circuit.json"
FILES = {"json": "verification.json", "text": "verification.txt"}
WRITTEN = (*FILES.values(), "verification.png", "verification.svg")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "verify", "examine a circuit on held-out prompts", EXAMPLE)
    parser.add_argument("circuit", type=Path, help="a circuit.json that find wrote, with interactions.json beside it")
    parser.add_argument("--interactions", type=Path, help="the decoded function (default: interactions.json beside it)")
    parser.add_argument("--model", help="the model (default: the one that the circuit names)")
    parser.add_argument("--task", help="the task (default: the one that the circuit names); a .jsonl of your own")
    about = "other held-out prompts, so many (default: those that find verified it on)"
    parser.add_argument("--prompts", type=whole_number(2), help=about)
    about = "random orders beside it (default: 10)"
    parser.add_argument("--random", type=whole_number(1), default=10, dest="n_random", metavar="RANDOM", help=about)
    parser.add_argument("--steps", type=whole_number(1), help="of NAP-IG (default: the circuit's gradient ablations)")
    parser.add_argument(
        "--stability", type=whole_number(0), default=0, help="times to find it again from new masks and prompts"
    )
    shared_options(
        parser,
        *("latents", "store", "seed", "device", "dtype", "revision", "out"),
        dtype={"help": "float32, float64, bfloat16 or float16 (default: the circuit's)"},
        out={"help": "folder to write to (default: beside the circuit.json)"},
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.ablation import store_at
    from circuitspex.circuits import Circuit, examine, formats
    from circuitspex.components import Latents
    from circuitspex.export.files.report import to_json
    from circuitspex.games import ComponentGame, EdgeGame
    from circuitspex.models import load_model, model_identity
    from circuitspex.models.sources import check_model
    from circuitspex.recovery import Interactions

    circuit = Circuit.load(options.circuit)
    lens = circuit.run.get("lens", "components")
    if lens not in ("components", "edges"):
        raise UserError(f"{options.circuit} is no circuit of parts or edges of a model (its lens is '{lens}')")
    beside = options.interactions or options.circuit.with_name("interactions.json")
    interactions = Interactions.load(beside)
    name = options.model or said(circuit.model, "name", "--model")
    dtype = options.dtype or circuit.model.get("dtype")
    why = "it is verified on its own task"
    task_name = known_task(options.circuit, circuit, options.task, why)
    check_model(name, device=options.device, dtype=dtype, revision=options.revision)
    latents = [Latents.load(path) for path in options.latents]
    store = store_at(options.store)
    folder = writable_folder(options.out or options.circuit.parent, WRITTEN)
    model = load_model(name, device=options.device, dtype=dtype, revision=options.revision)
    wanted = circuit.model.get("identity")
    if wanted and model_identity(model) != wanted:
        raise UserError(
            f"{name} has other weights than the model of {options.circuit} (identity {model_identity(model)[:12]}…, "
            f"the circuit's {str(wanted)[:12]}…): a circuit is verified on the model that it was found in"
        )
    found_on, heldout = _tasks(options, circuit, model, task_name)
    # The decoded function names the components in their order; the selector need not be read again.
    names, baseline = list(interactions.names), circuit.run.get("baseline", "mean")
    game = (
        EdgeGame(model, found_on, names, baseline, ungrouped=bool(circuit.run.get("ungrouped")), store=store)
        if lens == "edges"
        else ComponentGame(model, found_on, names, baseline, latents=latents, store=store)
    )
    report = examine(game, circuit, interactions, heldout, **arguments(options, examine))
    written = [formats.write(report, form, folder / name) for form, name in FILES.items()]
    written += [report.plot(folder / f"verification.{form}") for form in ("png", "svg")]
    return finish(options, "report", lambda: to_json(report), str(report), written)


def _tasks(options: argparse.Namespace, circuit: Any, model: Model, name: str) -> tuple[Any, Any]:
    """The prompts that attribution is taken on, and held-out ones that are none of them."""
    from circuitspex.circuits.search.prompts import hold_out

    task = task_again(circuit, model, name)
    seed = int(circuit.run.get("seed") or 0)
    found_on, heldout = hold_out(task, seed)  # as find does
    if heldout is None:
        raise UserError(f"task '{name}' has one prompt: there is none to hold out")
    if options.prompts is not None:
        with contextlib.suppress(TaskError):
            heldout = task.fresh(options.prompts, seed=seed + 104729)
    if circuit.task.get("identity") not in (None, task.identity, found_on.identity):
        warnings.warn(
            f"the prompts of task '{name}' here are not those that the circuit was found on: its baselines may differ, "
            "and the held-out prompts may be among those that it was found on",
            stacklevel=2,
        )
    return found_on, heldout
