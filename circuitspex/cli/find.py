"""``circuitspex find``: the circuit of a model on a task."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuitspex.cli.options import (
    baseline_option,
    check_names,
    components_option,
    latents_option,
    levels,
    method_option,
    metric_option,
    rounds,
    share,
    share_kept,
    store_option,
    task_option,
    verb_parser,
    whole_number,
    writable_folder,
)
from circuitspex.cli.result import show

EXAMPLE = "circuitspex find --model smollm2-135m --task ioi --components heads --budget 100 --out runs/ioi"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "find", "find the circuit that a model uses for a task", EXAMPLE)
    parser.add_argument("--model", required=True, help="offline catalogue name, directory, .gguf file, or hub name")
    task_option(parser)
    components_option(parser, None)
    latents_option(parser)
    baseline_option(parser)
    parser.add_argument("--budget", type=whole_number(2), default=100, help="ablations to decode from (default: 100)")
    parser.add_argument(
        "--until", type=share, metavar="R2", help="stop before the budget is used up once R² on new masks reaches this"
    )
    parser.add_argument(
        "--keep",
        type=share_kept,
        default=0.5,
        metavar="SHARE",
        help="share of components kept by a mask; 0.3:0.9 mixes shares, auto picks one by a pilot (default: 0.5)",
    )
    method_option(parser)
    parser.add_argument("--prompts", type=whole_number(1), help="how many prompts of a built-in task (default: 16)")
    metric_option(parser)
    parser.add_argument("--group-by-length", action="store_true", help="allow prompts of different token lengths")
    parser.add_argument("--heldout", type=whole_number(2), default=200, help="held-out masks for the R² (default: 200)")
    parser.add_argument("--contexts", type=whole_number(2), default=16, help="contexts an interaction is measured in")
    parser.add_argument(
        "--executor",
        default="auto",
        choices=("auto", "fused", "batched", "hooks"),
        help="how the model is run (default: the fastest that gives what plain hooks give)",
    )
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
    store_option(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: the GPU if there is one)")
    parser.add_argument(
        "--device-map", metavar="MAP", help="spread a large model over several GPUs: auto, balanced or sequential"
    )
    parser.add_argument("--dtype", help="float32, float64, bfloat16 or float16 (default: float32)")
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument("--out", type=Path, help="folder for circuit.json, the diagrams and the decoded function")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from circuitspex.errors import UserError
    from circuitspex.renamed import warn_renamed

    if not isinstance(options.refine, int):
        warn_renamed("--refine LEVELS", "--levels LEVELS")
        options.levels, options.refine = options.refine, 0
    if options.levels and (options.components or options.refine):
        other = "--components" if options.components else "--refine"
        raise UserError(f"--levels and {other} can't be combined; give one of the two")
    check_names(options)
    folder = None if options.out is None else writable_folder(options.out)
    from circuitspex.circuits import find_circuit
    from circuitspex.components import Latents, check_levels, model_structure, select
    from circuitspex.models import load_model
    from circuitspex.tasks import build

    model = load_model(
        options.model,
        device=options.device,
        dtype=options.dtype,
        revision=options.revision,
        device_map=options.device_map,
    )
    latents = [Latents.load(path) for path in options.latents]
    structure = model_structure(model, latents)
    components = options.components or "heads"
    if options.levels is None:
        select(structure, components)  # a wrong selector is named before anything is printed
    else:
        check_levels(structure, options.levels)
    wanted = {"metric": options.metric}
    if options.prompts is not None:
        wanted["n_prompts"] = options.prompts
    if options.group_by_length:
        wanted["group_by_length"] = True
    task = build(options.task, model, **wanted)
    if not options.json:
        print(task.report(model), end="\n\n", flush=True)
    found = find_circuit(
        model,
        task,
        components,
        options.baseline,
        options.budget,
        latents=latents,
        keep=options.keep,
        until=options.until,
        method=options.method,
        n_heldout=options.heldout,
        n_contexts=options.contexts,
        refine=options.refine,
        levels=options.levels,
        executor=options.executor,
        precision=options.precision,
        store=options.store,
        seed=options.seed,
    )
    return show(found, folder, options)
