"""``circuitspex export``: a finished circuit in other formats."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from circuitspex.circuits import formats
from circuitspex.cli.options import Named, verb_parser, writable_folder
from circuitspex.errors import UserError

EXAMPLE = "circuitspex export runs/ioi/circuit.json --to svg,html,mermaid,graphml"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "export", "write a circuit.json in other formats", EXAMPLE)
    parser.add_argument("circuit", type=Path, help="a circuit.json")
    parser.add_argument(
        "--to",
        required=True,
        choices=Named(formats.names),
        metavar="FORMATS",
        help="formats, separated by commas: %(choices)s",
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: beside the circuit.json)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.circuits import Circuit

    wanted = [form.strip() for form in options.to.split(",") if form.strip()]
    unknown = [form for form in wanted if form not in formats.names()]
    if unknown or not wanted:
        raise UserError(f"unknown format '{', '.join(unknown)}'; known: {', '.join(formats.names())}")
    circuit = Circuit.load(options.circuit)
    files = [f"{options.circuit.stem}.{formats.ending('Circuit', form)}" for form in wanted]
    folder = writable_folder(options.out or options.circuit.parent, files)
    written = [circuit.export(form, folder / name) for form, name in zip(wanted, files, strict=True)]
    for path in [path for path, form in zip(written, wanted, strict=True) if form == "csv"]:
        from circuitspex.export.graphs.csv import interactions_path

        written.append(interactions_path(path))
    if options.json:
        print(json.dumps({"files": [str(path) for path in written]}))
    else:
        for path in written:
            print(path)
    return 0
