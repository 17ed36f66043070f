"""``circuitspex compare``: what changed between two checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuitspex.cli.checks import check_before_loading, task_options
from circuitspex.cli.options import LOADING, arguments, not_negative, share, share_or_range, shared_options, verb_parser
from circuitspex.cli.result import finish
from circuitspex.cli.workers import workers_of
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
    shared_options(
        parser,
        *("task", "components", "baseline", "budget", "keep", "method", "prompts", "metric"),
        components={"default": "heads"},
        budget={"help": "ablations of each model (default: 100)"},
        keep={
            "type": share_or_range,
            "help": "share of components kept by a mask; 0.3:0.9 mixes shares (default: 0.5)",
        },
        method={"help": "decoder: %(choices)s, but none with masks of its own (default: %(default)s)"},
    )
    parser.add_argument(
        "--min-effect", "--least", type=not_negative, help="smallest difference of interest (default: 2 %% of the sd)"
    )
    parser.add_argument("--fdr", "--rate", type=share, default=0.05, help="false discovery rate (default: 0.05)")
    shared_options(
        parser,
        *("heldout-masks", "contexts", "executor", "store", "workers", "worker-gpus", "seed", *LOADING, "out"),
        **{"heldout-masks": {"default": 100}},
        out={"help": "folder for comparison.json, the page and the diagrams"},
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    if len(options.model) != 2:
        options.usage_error(f"two models are needed, --model A --model B, not {len(options.model)}")
    if DECODERS[options.method].makes_its_own_masks:
        options.usage_error(f"--method {options.method} runs masks of its own, which compare does not; use auto")
    sources = [_source(name) for name in options.model]
    folder = check_before_loading(options, models=sources, files=FILES.values())
    from circuitspex.circuits import compare
    from circuitspex.export.files.comparison import to_json
    from circuitspex.models import load_model
    from circuitspex.tasks import build

    how = arguments(options, load_model, loads=True)
    with workers_of(options):
        before, after = (load_model(name, revision=revision, **how) for name, revision in sources)
        task = build(options.task, before, **task_options(options))
        given = arguments(options, compare)
        found = compare(before, after, task, options.components, options.baseline, options.budget, **given)
    written = [] if folder is None else [found.export(form, folder / name) for form, name in FILES.items()]
    return finish(options, "comparison", lambda: to_json(found), str(found), written)


def _source(name: str) -> tuple[str, str | None]:
    """A model's name, and its revision where one follows an @ and no such path exists."""
    base, _, revision = name.rpartition("@")
    return (base, revision) if base and not Path(name).exists() else (name, None)
