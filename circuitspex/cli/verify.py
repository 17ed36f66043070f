"""``circuitspex verify``: examine a circuit on held-out prompts, beside attribution patching and random circuits."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuitspex.cli import verify_mib
from circuitspex.cli.again import OF_THE_CIRCUIT, has_prompts, how_loaded, known_task, said
from circuitspex.cli.heldout import prompts_to_verify
from circuitspex.cli.options import LOADING, arguments, shared_options, verb_parser, whole_number, writable_folder
from circuitspex.cli.result import finish
from circuitspex.errors import UserError
from circuitspex.tasks import is_file
from circuitspex.tasks.catalogue import check_name

_RANDOM = 10

EXAMPLE = "circuitspex verify runs/ioi/circuit.json"
FILES = {"json": "verification.json", "text": "verification.txt"}
WRITTEN = (*FILES.values(), "verification.png", "verification.svg")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "verify", "examine a circuit on held-out prompts", EXAMPLE)
    parser.add_argument("circuit", type=Path, help="a circuit.json that find wrote, with interactions.json beside it")
    parser.add_argument("--interactions", type=Path, help="the decoded function (default: interactions.json beside it)")
    about = "MIB's circuit track (heads+mlps, or edges, under --baseline resample; CPR, CMD) instead of an examination"
    parser.add_argument("--protocol", choices=["mib"], help=about)
    parser.add_argument("--model", help="the model (default: the one that the circuit names)")
    about = "the task that it was found on (default: the one that it names); of a .jsonl of your own, prompts that the "
    parser.add_argument("--task", help=about + "circuit was not found on are held out")
    about = "other held-out prompts, so many (default: those that find verified it on)"
    parser.add_argument("--prompts", type=whole_number(2), help=about)
    about = "random orders beside it (default: 10)"
    parser.add_argument("--random", type=whole_number(1), dest="n_random", metavar="RANDOM", help=about)
    parser.add_argument("--steps", type=whole_number(1), help="of NAP-IG (default: the circuit's gradient ablations)")
    parser.add_argument(
        "--stability", type=whole_number(0), default=0, help="times to find it again from new masks and prompts"
    )
    shared_options(
        parser,
        *("heldout", "latents", "store", "seed", *LOADING, "revision", "out"),
        heldout={
            "type": str,
            "help": "a .jsonl file of held-out prompts; those that the circuit was found on are left out "
            "(default: those that find verified it on)",
        },
        **OF_THE_CIRCUIT,
        out={"help": "folder to write to (default: beside the circuit.json)"},
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.ablation import store_at
    from circuitspex.circuits import Circuit, examine, formats
    from circuitspex.components import Latents
    from circuitspex.export.files.mib import to_json as mib_to_json
    from circuitspex.export.files.report import to_json
    from circuitspex.games import ComponentGame, EdgeGame
    from circuitspex.models import load_model, model_identity
    from circuitspex.models.sources import check_model
    from circuitspex.recovery import Interactions

    circuit = Circuit.load(options.circuit)
    lens = circuit.run.get("lens", "components")
    if lens not in ("components", "edges"):
        raise UserError(f"{options.circuit} is no circuit of parts or edges of a model (its lens is '{lens}')")
    mib = options.protocol == "mib"
    if mib:
        verify_mib.check_circuit(options.circuit, circuit)
        if options.stability:
            raise UserError("--stability belongs to the examination; --protocol mib does not find the circuit again")
        if options.n_random is not None:
            raise UserError("--random belongs to the examination; --protocol mib draws no random orders")
    options.n_random = _RANDOM if options.n_random is None else options.n_random
    was = circuit.model.get("dtype")
    if options.dtype and was and options.dtype != was:
        raise UserError(f"the circuit was found in {was} and is verified in that; leave --dtype {options.dtype} out")
    beside = options.interactions or options.circuit.with_name("interactions.json")
    interactions = Interactions.load(beside)
    name = options.model or said(circuit.model, "name", "--model")
    how = how_loaded(options, circuit)
    why = "it is verified on its own task"
    found_on = None
    if options.heldout is not None:
        check_name(options.heldout)
        if options.prompts is not None:
            raise UserError("--heldout and --prompts can't be combined: a file's prompts are taken as they are")
    if options.prompts is not None and is_file(options.task or str(circuit.task.get("name"))):
        raise UserError("--prompts is for built-in tasks; held-out prompts of your own are given with --heldout FILE")
    if options.heldout is None or options.task is not None or not has_prompts(circuit):
        found_on = known_task(options.circuit, circuit, options.task, why)
    check_model(name, **how)
    latents = [Latents.load(path) for path in options.latents]
    store = store_at(options.store)
    folder = writable_folder(options.out or options.circuit.parent, verify_mib.WRITTEN if mib else WRITTEN)
    model = load_model(name, **how)
    wanted = circuit.model.get("identity")
    if wanted and model_identity(model) != wanted:
        raise UserError(
            f"{name} has other weights than the model of {options.circuit} (identity {model_identity(model)[:12]}…, "
            f"the circuit's {str(wanted)[:12]}…): a circuit is verified on the model that it was found in"
        )
    task, heldout = prompts_to_verify(
        circuit, model, found_on, heldout=options.heldout, n_prompts=options.prompts, path=options.circuit
    )
    # The decoded function names the components in their order; the selector need not be read again.
    names, baseline = list(interactions.names), circuit.run.get("baseline", "mean")
    game = (
        EdgeGame(model, task, names, baseline, ungrouped=bool(circuit.run.get("ungrouped")), store=store)
        if lens == "edges"
        else ComponentGame(model, task, names, baseline, latents=latents, store=store)
    )
    if mib:
        if lens == "edges":
            scores = verify_mib.report_of_edges(circuit, model, task, heldout, store, options)
        else:
            scores = verify_mib.report_of(game, interactions, heldout, options)
        files = [formats.write(scores, form, folder / name) for form, name in verify_mib.FILES.items()]
        files += [scores.plot(folder / f"mib.{form}") for form in ("png", "svg")]
        return finish(options, "report", lambda: mib_to_json(scores), str(scores), files)
    report = examine(game, circuit, interactions, heldout, **arguments(options, examine))
    written = [formats.write(report, form, folder / name) for form, name in FILES.items()]
    written += [report.plot(folder / f"verification.{form}") for form in ("png", "svg")]
    return finish(options, "report", lambda: to_json(report), str(report), written)
