"""``circuitspex compare``: what changed between two checkpoints."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from circuitspex.cli.options import (
    baseline_option,
    check_names,
    components_option,
    method_option,
    metric_option,
    share,
    store_option,
    task_option,
    verb_parser,
    whole_number,
    writable_folder,
)
from circuitspex.models.protocol import Model
from circuitspex.recovery import DECODERS

EXAMPLE = "circuitspex compare --model smollm2-135m --model ./fine-tuned --task ioi --out runs/diff"
FILES = {
    "json": "comparison.json",
    "html": "comparison.html",
    "csv": "comparison.csv",
    "svg": "comparison.svg",
    "png": "comparison.png",
}


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this verb."""
    parser = verb_parser(verbs, "compare", "say what changed between two checkpoints of one architecture", EXAMPLE)
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="MODEL",
        help="given twice: the first and the second model; a catalogue name, directory, .gguf file, or hub name, "
        "with @REVISION for a hub branch or tag",
    )
    task_option(parser)
    components_option(parser, "heads")
    baseline_option(parser)
    parser.add_argument("--budget", type=whole_number(2), default=100, help="ablations of each model (default: 100)")
    parser.add_argument("--keep", type=share, default=0.5, metavar="SHARE", help="share of components kept by a mask")
    method_option(parser, ", but none with masks of its own")
    parser.add_argument("--prompts", type=whole_number(1), help="how many prompts of a built-in task (default: 16)")
    metric_option(parser)
    parser.add_argument(
        "--min-effect", "--least", type=float, help="smallest difference of interest (default: 2 %% of the sd)"
    )
    parser.add_argument("--fdr", "--rate", type=share, default=0.05, help="false discovery rate (default: 0.05)")
    parser.add_argument("--heldout", type=whole_number(2), default=100, help="held-out masks for the R² (default: 100)")
    parser.add_argument("--contexts", type=whole_number(2), default=16, help="contexts an interaction is measured in")
    parser.add_argument("--executor", default="auto", choices=("auto", "fused", "batched", "hooks"))
    store_option(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: the GPU if there is one)")
    parser.add_argument("--dtype", help="float32, float64, bfloat16 or float16 (default: float32)")
    parser.add_argument("--out", type=Path, help="folder for comparison.json, the page and the diagrams")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    if len(options.model) != 2:
        options.usage_error(f"two models are needed, --model A --model B, not {len(options.model)}")
    if DECODERS[options.method].makes_its_own_masks:
        options.usage_error(f"--method {options.method} runs masks of its own, which compare does not; use auto")
    check_names(options)
    folder = None if options.out is None else writable_folder(options.out)
    from circuitspex.circuits import compare
    from circuitspex.tasks import build

    before, after = (_load(name, options) for name in options.model)
    wanted = {"metric": options.metric}
    if options.prompts is not None:
        wanted["n_prompts"] = options.prompts
    task = build(options.task, before, **wanted)
    found = compare(
        before,
        after,
        task,
        options.components,
        options.baseline,
        options.budget,
        keep=options.keep,
        method=options.method,
        n_heldout=options.heldout,
        n_contexts=options.contexts,
        min_effect=options.min_effect,
        fdr=options.fdr,
        executor=options.executor,
        store=options.store,
        seed=options.seed,
    )
    written = [] if folder is None else [found.export(form, folder / name) for form, name in FILES.items()]
    if options.json:
        from circuitspex.export.files.comparison import to_json

        print(json.dumps({"comparison": to_json(found), "files": [str(path) for path in written]}, indent=1))
        return 0
    print(found)
    if written:
        print("written:", *(f"  {path}" for path in written), sep="\n")
    return 0


def _load(name: str, options: argparse.Namespace) -> Model:
    """A model by its name, and by its revision where one follows an @ and no such path exists."""
    from circuitspex.models import load_model

    base, _, revision = name.rpartition("@")
    if base and not Path(name).exists():
        return load_model(base, device=options.device, dtype=options.dtype, revision=revision)
    return load_model(name, device=options.device, dtype=options.dtype)
