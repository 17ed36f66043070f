"""``circuitspex find``: the circuit of a model on a task."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuitspex.cli.checks import check_before_loading, task_options
from circuitspex.cli.options import LOADING, arguments, levels, rounds, shared_options, verb_parser
from circuitspex.cli.result import WRITTEN, show
from circuitspex.cli.workers import workers_of

EDGES = "or of edges, in quotes where it has an arrow: edges, edges:ungrouped, 'edges->logits', 'L5H1->L9H3.q'"
EXAMPLE = "circuitspex find --model smollm2-135m --task ioi --components heads --budget 100 --out runs/ioi"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "find", "find the circuit that a model uses for a task", EXAMPLE)
    shared_options(parser, "model", "task", "components")
    shared_options(
        parser,
        *("latents", "baseline", "budget", "until", "keep", "method"),
        baseline={"default": None},
        budget={"default": None, "help": "ablations to decode from (default: 100; of edges 40, and as many again)"},
    )
    shared_options(parser, "prompts", "metric")
    parser.add_argument("--group-by-length", action="store_true", help="allow prompts of different token lengths")
    about = "how the model is run (default: the fastest that gives what plain hooks give)"
    shared_options(parser, "heldout", "heldout-masks", "contexts", "executor", executor={"help": about})
    parser.add_argument(
        "--precision", default="model", choices=("model", "bfloat16"), help="of the matrix products (default: model)"
    )
    parser.add_argument(
        "--refine",
        type=rounds,
        default=0,
        metavar="ROUNDS",
        help="rounds in which chosen circuits are run and decoded with the rest (default: 0)",
    )
    parser.add_argument(
        "--levels",
        type=levels,
        metavar="LEVELS",
        help="from coarse to fine, such as layers,heads+mlps,neurons, in place of --components",
    )
    shared_options(parser, "store", "workers", "worker-gpus", "seed", *LOADING, "revision", "out")
    parser.add_argument(
        "--mib",
        action="store_true",
        help="also write the folder that MIB's circuit track takes, circuit.mib (see export)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.errors import UserError
    from circuitspex.renamed import warn_renamed

    if not isinstance(options.refine, int):
        warn_renamed("--refine LEVELS", "--levels LEVELS")
        options.levels, options.refine = options.refine, 0
    if isinstance(options.heldout, int):
        warn_renamed("--heldout MASKS", "--heldout-masks MASKS")
        options.n_heldout, options.heldout = options.heldout, None
    if options.levels and (options.components or options.refine):
        other = "--components" if options.components else "--refine"
        raise UserError(f"--levels and {other} can't be combined; give one of the two")
    if options.mib and options.out is None:
        raise UserError("--mib writes to the folder of --out: give one")
    if options.mib and options.components and "->" not in options.components:
        from circuitspex.export.graphs.eap import check_held

        check_held(options.components)
    folder = check_before_loading(options, models=[(options.model, options.revision)], files=WRITTEN)
    with workers_of(options):
        return _run(options, folder)


def _run(options: argparse.Namespace, folder: Path | None) -> int:
    """Do it, when its arguments have been checked and its workers are starting."""
    from circuitspex.ablation.edges.graph import edge_graph
    from circuitspex.circuits import find_circuit
    from circuitspex.components import check_levels, model_structure, select
    from circuitspex.components._select_edges import select_edges, wants_ungrouped
    from circuitspex.components.edges import is_of_edges
    from circuitspex.models import load_model
    from circuitspex.tasks import build

    model = load_model(options.model, **arguments(options, load_model, loads=True))
    structure = model_structure(model, options.latents)
    components = options.components or "heads"
    if is_of_edges(components):
        select_edges(edge_graph(model, structure, ungrouped=wants_ungrouped(components)), components)
    elif options.levels is None:
        select(structure, components)  # a wrong selector is named before anything is printed
    else:
        check_levels(structure, options.levels)
    task = build(options.task, model, **task_options(options))
    if not options.json:
        print(task.report(model), end="\n\n", flush=True)
    given = arguments(options, find_circuit)
    found = find_circuit(model, task, components, options.baseline, options.budget, **given)
    if found.edges is not None and not options.json:
        print(found.edges, end="\n\n")
    return show(found, folder, options)
