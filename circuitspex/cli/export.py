"""``circuitspex export``: a finished result in other formats; also a circuit that another tool wrote."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.circuits import formats
from circuitspex.cli.options import Named, verb_parser, whole_number, writable_folder
from circuitspex.errors import UserError

if TYPE_CHECKING:
    from circuitspex.circuits import Circuit
    from circuitspex.recovery import Interactions

KINDS = ("Circuit", "Comparison", "Series", "PromptMap", "Description")
"""The types of results that are read."""
MIB = "mib"
"""What is no file but a folder, and needs the decoded function."""
EXAMPLE = "circuitspex export runs/ioi/circuit.json --to svg,html,mermaid,graphml"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "export", "write a circuit.json, or another result, in other formats", EXAMPLE)
    parser.add_argument(
        "circuit",
        type=Path,
        help="a circuit.json, comparison.json, prompt.json or another file that a result was saved in; with --from a "
        "file of another tool",
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=Named(_names),
        metavar="FORMATS",
        help="formats, separated by commas: %(choices)s; results other than circuits have some of these",
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
    """The formats of a file, of whatever result, and the folder for MIB."""
    return tuple(sorted({MIB, *(name for kind in KINDS for name in formats.names(kind))}))


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.export.files.circuit import CIRCUIT
    from circuitspex.export.files.kinds import form_of

    wanted = [form.strip() for form in options.to.split(",") if form.strip()]
    unknown = [form for form in wanted if form not in _names()]
    if unknown or not wanted:
        raise UserError(f"unknown format '{', '.join(unknown)}'; known: {', '.join(_names())}")
    if options.interactions is not None and MIB not in wanted:
        raise UserError("--interactions is for --to mib")
    given = {name: getattr(options, name) for name in ("top", "sign", "level") if getattr(options, name) is not None}
    if given and options.form == "json":
        raise UserError(f"--{next(iter(given))} is for --from eap")
    held = form_of(options.circuit) if options.form == "json" else CIRCUIT
    known = [*formats.names(held.kind.__name__), *([MIB] if held is CIRCUIT else [])]
    lacking = [form for form in wanted if form not in known]
    if lacking:
        raise UserError(f"a {held.what} can't be written as '{lacking[0]}'; its formats: {', '.join(known)}")
    written = _written(formats.read(held.kind, options.circuit, options.form, **given), wanted, options)
    if options.json:
        print(json.dumps({"files": [str(path) for path in written]}))
    else:
        for path in written:
            print(path)
    return 0


def _written(result: Any, wanted: list[str], options: argparse.Namespace) -> list[Path]:
    """The files, when they are written."""
    kind, source = type(result).__name__, options.circuit
    function = _function(result, options) if MIB in wanted else None
    wanted = [form for form in wanted if form != MIB]
    files = [f"{source.stem}.{formats.ending(kind, form)}" for form in wanted]
    folder = options.out or source.parent
    if any((folder / name).resolve() == source.resolve() for name in files) and options.form != "json":
        raise UserError(f"{source} would be overwritten by what is read from it; give another folder with --out")
    folder = writable_folder(folder, files)
    written = [result.export(form, folder / name) for form, name in zip(wanted, files, strict=True)]
    if kind == "Circuit" and "csv" in wanted:
        from circuitspex.export.graphs.csv import interactions_path

        written.append(interactions_path(written[wanted.index("csv")]))
    if function is not None:
        from circuitspex.export.graphs import mib

        written += mib.write(result, function, folder / f"{source.stem}.mib")
    return written


def _function(circuit: Circuit, options: argparse.Namespace) -> Interactions:
    """The decoded function, from which the folder for MIB takes its scores."""
    from circuitspex.recovery import Interactions

    if circuit.run.get("lens") == "edges":
        raise UserError(
            "what a search found of all edges is not in circuit.json: write the folder for MIB where it is found, with "
            "found.to_mib(folder), or circuitspex find --mib"
        )
    return Interactions.load(options.interactions or options.circuit.with_name("interactions.json"))
