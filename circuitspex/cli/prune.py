"""``circuitspex prune``: a circuit as a checkpoint of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuitspex.cli.again import OF_THE_CIRCUIT, said
from circuitspex.cli.apply import ready, use_options
from circuitspex.cli.options import shared_options, verb_parser
from circuitspex.cli.result import finish

EXAMPLE = "circuitspex prune runs/ioi/circuit.json --baseline zero --out models/ioi"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "prune", "write a model with only a circuit as a checkpoint", EXAMPLE)
    use_options(parser)
    parser.add_argument("--without", action="store_true", help="take the circuit out, and leave the others")
    parser.add_argument("--overwrite", action="store_true", help="replace a model that is there already")
    shared_options(
        parser,
        *("device", "dtype", "revision", "out"),
        dtype=OF_THE_CIRCUIT["dtype"],
        out={"required": True, "help": "folder to write, which must not exist"},
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.circuits import Circuit
    from circuitspex.circuits.use.checkpoint import check_free, check_not_source
    from circuitspex.circuits.use.parts import check_lens

    check_free(Path(options.out), options.overwrite)
    circuit = Circuit.load(options.circuit)
    check_lens(circuit)
    check_not_source(Path(options.out), options.model or said(circuit.model, "name", "--model"))
    model, task = ready(circuit, options)
    found = circuit.prune(
        model,
        options.out,
        keep=not options.without,
        baseline=options.baseline,
        prompts=task,
        among=options.among,
        overwrite=options.overwrite,
    )
    return finish(options, "pruned", found.to_json, str(found), [found.path])
