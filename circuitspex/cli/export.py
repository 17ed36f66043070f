"""``circuitspex export``: a finished circuit in other formats; also one that another tool wrote."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from circuitspex.circuits import formats
from circuitspex.cli.options import Named, verb_parser, whole_number, writable_folder
from circuitspex.errors import UserError

MIB = "mib"
"""What is no file but a folder, and needs the decoded function."""
EXAMPLE = "circuitspex export runs/ioi/circuit.json --to svg,html,mermaid,graphml"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "export", "write a circuit.json in other formats", EXAMPLE)
    parser.add_argument("circuit", type=Path, help="a circuit.json, or with --from a file of another tool")
    parser.add_argument(
        "--to",
        required=True,
        choices=Named(_names),
        metavar="FORMATS",
        help="formats, separated by commas: %(choices)s",
    )
    parser.add_argument(
        "--from",
        dest="form",
        default="json",
        choices=("json", "eap"),
        help="what is read: json (the default), or eap: a graph JSON of EAP-IG or MIB",
    )
    parser.add_argument(
        "--top", type=whole_number(1), help="with --from eap: keep so many nodes or edges of the largest scores"
    )
    parser.add_argument(
        "--sign", choices=("unknown", "ablation", "attribution"), help="with --from eap: what a score is (see the docs)"
    )
    parser.add_argument(
        "--level", choices=("auto", "nodes", "edges"), help="with --from eap: whether nodes or edges are read"
    )
    parser.add_argument(
        "--interactions", type=Path, help="with --to mib: the decoded function (default: interactions.json beside it)"
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: beside the circuit.json)")
    parser.set_defaults(run=run)


def _names() -> tuple[str, ...]:
    """The formats of a file, and the folder for MIB."""
    return tuple(sorted((*formats.names(), MIB)))


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.circuits import Circuit
    from circuitspex.recovery import Interactions

    wanted = [form.strip() for form in options.to.split(",") if form.strip()]
    unknown = [form for form in wanted if form not in _names()]
    if unknown or not wanted:
        raise UserError(f"unknown format '{', '.join(unknown)}'; known: {', '.join(_names())}")
    if options.interactions is not None and MIB not in wanted:
        raise UserError("--interactions is for --to mib")
    given = {name: getattr(options, name) for name in ("top", "sign", "level") if getattr(options, name) is not None}
    if given and options.form == "json":
        raise UserError(f"--{next(iter(given))} is for --from eap")
    circuit = formats.read(Circuit, options.circuit, options.form, **given)
    function = None
    if MIB in wanted and circuit.run.get("lens") == "edges":
        raise UserError(
            "what a search found of all edges is not in circuit.json: write the folder for MIB where it is found, with "
            "found.to_mib(folder), or circuitspex find --mib"
        )
    if MIB in wanted:
        function = Interactions.load(options.interactions or options.circuit.with_name("interactions.json"))
        wanted = [form for form in wanted if form != MIB]
    files = [f"{options.circuit.stem}.{formats.ending('Circuit', form)}" for form in wanted]
    folder = options.out or options.circuit.parent
    if any((folder / name).resolve() == options.circuit.resolve() for name in files) and options.form != "json":
        raise UserError(
            f"{options.circuit} would be overwritten by what is read from it; give another folder with --out"
        )
    folder = writable_folder(folder, files)
    written = [circuit.export(form, folder / name) for form, name in zip(wanted, files, strict=True)]
    for path in [path for path, form in zip(written, wanted, strict=True) if form == "csv"]:
        from circuitspex.export.graphs.csv import interactions_path

        written.append(interactions_path(path))
    if function is not None:
        from circuitspex.export.graphs import mib

        written += mib.write(circuit, function, folder / f"{options.circuit.stem}.mib")
    if options.json:
        print(json.dumps({"files": [str(path) for path in written]}))
    else:
        for path in written:
            print(path)
    return 0
