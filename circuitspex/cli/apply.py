"""``circuitspex apply``: what a model says with only a circuit, and without it."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from circuitspex.cli.again import OF_THE_CIRCUIT, how_loaded, said, task_again
from circuitspex.cli.options import LOADING, number, shared_options, verb_parser, whole_number
from circuitspex.cli.result import finish
from circuitspex.errors import UserError

if TYPE_CHECKING:
    from circuitspex.circuits import Circuit

EXAMPLE = (
    'circuitspex apply runs/ioi/circuit.json --prompt "When Mary and John went to the shops, John gave a bag to" '
    "--baseline mean_vector"
)


WAYS: tuple[Literal["chosen", "matched"], ...] = ("chosen", "matched")


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
    parser.add_argument(
        "--edges",
        type=whole_number(1),
        metavar="N",
        help="of a search among edges: its circuit of at most N edges, from the edges.json beside the circuit; by "
        "default the circuit's own edges",
    )
    parser.add_argument(
        "--way", choices=WAYS, help="with --edges: most of the behaviour (default), or most like the model"
    )
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


def ready(circuit: Circuit, options: argparse.Namespace) -> tuple[Any, Any]:
    """A circuit's model, and the task that means are taken over, or None.

    Raises:
        UserError: whatever can be told before a model is loaded comes first.
    """
    from circuitspex.circuits.use.stand_ins import baseline_for
    from circuitspex.components import check_selector
    from circuitspex.models import load_model
    from circuitspex.models.sources import check_model
    from circuitspex.tasks import check_name

    options.baseline = baseline_for(circuit, options.baseline)
    if options.prompts is not None:
        check_name(options.prompts)
    if options.among is not None:
        check_selector(options.among)
    name = options.model or said(circuit.model, "name", "--model")
    how = how_loaded(options, circuit)
    check_model(name, **how)
    model = load_model(name, **how)
    return model, None if options.prompts is None else task_again(circuit, model, options.prompts)


def _circuit(options: argparse.Namespace) -> Circuit:
    """The circuit that is applied: that of the file, or one of those of edges beside it.

    Raises:
        UserError: the files don't go together, or there is no circuit of that size.
    """
    from circuitspex.circuits import Circuit, EdgeCircuit, Node
    from circuitspex.circuits.use.parts import check_lens, of_edges

    circuit = Circuit.load(options.circuit)
    if not of_edges(circuit):
        check_lens(circuit)
    if options.edges is None:
        if options.way is not None:
            raise UserError("--way says which circuit of edges; give --edges N too")
        return circuit
    if not of_edges(circuit):
        raise UserError(f"--edges is for a circuit of edges, which {options.circuit} is not")
    found = EdgeCircuit.load(options.circuit.parent / "edges.json", options.edges, options.way or WAYS[0])
    return replace(circuit, nodes=tuple(Node(name, 0, "edge", 0.0) for name in found.names), interactions=())


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.circuits.use.beside import beside
    from circuitspex.components import Latents
    from circuitspex.export.tables.beside import render

    circuit = _circuit(options)
    latents = [Latents.load(path) for path in options.latents]
    model, task = ready(circuit, options)
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
