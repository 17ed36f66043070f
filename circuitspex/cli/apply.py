"""``circuitspex apply``: what a model says with only a circuit, and without it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.cli.again import OF_THE_CIRCUIT, how_loaded, said, task_again
from circuitspex.cli.options import LOADING, number, shared_options, verb_parser, whole_number
from circuitspex.cli.result import finish

if TYPE_CHECKING:
    from circuitspex.circuits import Circuit

EXAMPLE = (
    'circuitspex apply runs/ioi/circuit.json --prompt "When Mary and John went to the shops, John gave a bag to" '
    "--baseline mean_vector"
)


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "apply", "write text with only a circuit, and without it", EXAMPLE)
    use_options(parser)
    parser.add_argument(
        "--prompt", required=True, action="append", metavar="TEXT", help="the text; may be given several times"
    )
    parser.add_argument("--new", type=whole_number(0), default=10, help="how many tokens to write (default: 10)")
    parser.add_argument("--top", type=whole_number(1), default=5, help="how many next tokens to list (default: 5)")
    parser.add_argument("--scale", type=number, help="also with the circuit's components scaled by this")
    shared_options(parser, "latents", *LOADING, "revision", **OF_THE_CIRCUIT)
    parser.set_defaults(run=run)


def use_options(parser: argparse.ArgumentParser) -> None:
    """The options of the verbs that put a circuit to use."""
    parser.add_argument("circuit", type=Path, help="a circuit.json that find wrote")
    parser.add_argument("--model", help="the model (default: the one that the circuit names)")
    shared_options(
        parser,
        "baseline",
        baseline={
            "default": None,
            "help": "what ablated components output: zero, or mean_vector, their mean over all positions (default: the "
            "circuit's, if it is one of these)",
        },
    )
    parser.add_argument(
        "--task",
        dest="prompts",
        metavar="TASK",
        help="the task over whose prompts means are taken (default: the circuit's own); a .jsonl of your own",
    )
    parser.add_argument("--among", metavar="SELECTOR", help="what other components there are (default: those of find)")


def ready(options: argparse.Namespace) -> tuple[Circuit, Any, Any]:
    """The circuit, its model, and the task that means are taken over, or None.

    Raises:
        UserError: whatever can be told before a model is loaded comes first.
    """
    from circuitspex.circuits import Circuit
    from circuitspex.circuits.use.parts import check_lens
    from circuitspex.circuits.use.stand_ins import baseline_for
    from circuitspex.components import check_selector
    from circuitspex.models import load_model
    from circuitspex.models.sources import check_model
    from circuitspex.tasks import check_name

    circuit = Circuit.load(options.circuit)
    check_lens(circuit)
    options.baseline = baseline_for(circuit, options.baseline)
    if options.prompts is not None:
        check_name(options.prompts)
    if options.among is not None:
        check_selector(options.among)
    name = options.model or said(circuit.model, "name", "--model")
    how = how_loaded(options, circuit)
    check_model(name, **how)
    model = load_model(name, **how)
    return circuit, model, None if options.prompts is None else task_again(circuit, model, options.prompts)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.circuits.use.beside import beside
    from circuitspex.components import Latents
    from circuitspex.export.tables.beside import render

    latents = [Latents.load(path) for path in options.latents]
    circuit, model, task = ready(options)
    found = beside(
        circuit,
        model,
        options.prompt,
        n_new=options.new,
        top=options.top,
        scale=options.scale,
        baseline=options.baseline,
        prompts=task,
        among=options.among,
        latents=latents or None,
    )
    data = {"baseline": options.baseline, "prompts": [asdict(each) for each in found]}
    return finish(options, "applied", lambda: data, render(found, options.baseline), [])
