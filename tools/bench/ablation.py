"""The ablation engine beside its peers, in one run on one machine: a table for a CPU, and a longer one for a GPU.

    python tools/bench/ablation.py --out docs/benchmarks/engine
    python tools/bench/ablation.py --models llama-3.2-1b --components heads+mlps --masks 512 --length 32 \\
        --prompts 1 4 --device cuda --dtype bfloat16 --out docs/benchmarks/gpu --name engine_llama_1b

Peers: TransformerLens hooks one mask at a time, TransformerLens hooks with the masks along the batch axis, and the
plain forward pass of Hugging Face (no ablation, SDPA attention, all logits) on a batch of the same size. All take turns
in every round; the table has medians, to be read as ratios. On a CPU times are milliseconds an ablation (one mask on
one prompt).

On a GPU times are of the whole batch, every way has the same rows at once, and the plain pass is also asked for the
last logits only, and compiled with --compile; the kernels are switched on and off; memory and operations are counted.
Exits with 1 there where kernels gave way to plain PyTorch, or the fused executor to another.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation_models import SHAPES, build
from ablation_on_card import HEADINGS, Case, measure_on_card
from ablation_peers import hooks_batched, plain_forward
from device_time import ceilings
from model_shapes import LLAMAS

import circuitspex as cx

ON_CPU = (
    "| model | components | baseline, kept | one at a time, ms | hooks batched, ms | plain forward, ms | "
    "batched, ms | fused, ms | one at a time / fused | hooks batched / fused | fused / plain forward | "
    "bfloat16 products: hooks batched /, one at a time /, rms error | gradients / fused | largest difference |"
)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["smollm2-135m"], help=f"a model, or {', '.join(SHAPES)}")
    parser.add_argument("--components", nargs="+", default=["heads", "heads+mlps", "last third", "heads@-1"])
    parser.add_argument("--baselines", nargs="+", default=["mean"])
    parser.add_argument("--keep", nargs="+", type=float, default=[0.5], help="share of components kept")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompts", type=int, nargs="+", default=[1])
    parser.add_argument("--length", type=int, default=14, help="tokens of a prompt, for random weights")
    parser.add_argument("--masks", type=int, nargs="+", default=[64])
    parser.add_argument("--single", type=int, help="masks to time one at a time (3 on a CPU, 20 on a GPU)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--rows", type=int, default=4096, help="most rows at once on a GPU (one mask on one prompt each)"
    )
    parser.add_argument("--compile", action="store_true", help="on a GPU, also the plain pass under torch.compile")
    parser.add_argument("--table", choices=["cpu", "gpu"], help="which table (by default that of the device)")
    parser.add_argument("--out", type=Path, help="folder for the table")
    parser.add_argument("--name", default="ablation", help="name of the table's file, without .md")
    options = parser.parse_args()
    options.table = options.table or ("gpu" if options.device.startswith("cuda") else "cpu")
    options.single = options.single or (20 if options.table == "gpu" else 3)
    return options


def main() -> None:
    options = parse()
    on_card = options.device.startswith("cuda")
    ceiling = ceilings(options.device, getattr(torch, options.dtype))[0] if options.table == "gpu" else float("nan")
    prompts, masks = (", ".join(map(str, each)) for each in (options.prompts, options.masks))
    lines = [
        f"`{' '.join(['python', *sys.argv])}` on {options.device}"
        + (f" ({torch.cuda.get_device_name()})" if on_card else ""),
        f"{os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__}, {options.dtype}; "
        f"{prompts} prompts, {masks} masks, medians of {options.repeats}"
        + (f", {options.single} masks one at a time; ceiling {ceiling:.0f} TFLOP/s" if options.table == "gpu" else ""),
        "",
        f"| {' | '.join(HEADINGS)} |" if options.table == "gpu" else ON_CPU,
        "| --- " * (len(HEADINGS) if options.table == "gpu" else ON_CPU.count("|") - 1) + "|",
    ]
    print("\n".join(lines), flush=True)
    wrong: list[str] = []
    for name, n_prompts in product(options.models, options.prompts):
        for row, reasons in rows_of(name, n_prompts, options, ceiling):
            lines.append(row)
            wrong += reasons
            print(row, flush=True)
            save(options, [*lines, *(["", *wrong] if wrong else [])])
    print("\n".join(wrong))
    sys.exit(bool(wrong))


def rows_of(name: str, n_prompts: int, options: argparse.Namespace, ceiling: float) -> Iterator[tuple[str, list[str]]]:
    """The rows of one model, each with what was not as it should be."""
    model, plain, task = build(name, options.device, getattr(torch, options.dtype), n_prompts, options.length)
    n_layers = int(model.cfg.n_layers)
    compiled = torch.compile(plain) if options.compile and options.table == "gpu" else None
    for components, baseline, keep, n_masks in product(
        options.components, options.baselines, options.keep, options.masks
    ):
        last_third = f"layers[{n_layers - n_layers // 3}:{n_layers}].heads"
        selector = last_third if components == "last third" else components
        if options.table == "cpu":
            row = measure(model, plain, task, selector, baseline, keep, n_masks, options)
            yield f"| {name} | {components} | {baseline}, {keep:g} | {row}", []
            continue
        case = Case(
            model,
            plain,
            task,
            selector,
            baseline,
            keep,
            n_masks,
            rows=min(options.rows, n_masks * n_prompts),
            single=min(options.single, n_masks),
            repeats=options.repeats,
            compiled=compiled,
            shape=LLAMAS.get(name),
            ceiling=ceiling,
        )
        found = measure_on_card(case)
        about = f"{name}, {components}, {keep:g}"
        yield f"| {' | '.join([about, *found.cells])} |", [f"fallback: {about}: {reason}" for reason in found.wrong]


def save(options: argparse.Namespace, lines: list[str]) -> None:
    """All rows so far: a run that is stopped leaves them."""
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        text = "# The ablation engine beside its peers\n\n" + "\n".join(lines) + "\n"
        (options.out / f"{options.name}.md").write_text(text)


def measure(
    model: Any,
    plain: Any,
    task: Any,
    components: str,
    baseline: str,
    keep: float,
    n_masks: int,
    options: argparse.Namespace,
) -> str:
    """One row of the table for a CPU."""
    n_prompts = task.n_prompts
    games = {
        name: cx.ComponentGame(model, task, components, baseline, executor=name)
        for name in ("hooks", "batched", "fused")
    }
    near = options.dtype == "float32"
    if near:
        games["near"] = cx.ComponentGame(model, task, components, baseline, precision="bfloat16")
    masks = cx.sample_masks(games["fused"].n_players, n_masks, keep=keep, seed=0)
    few = masks[: options.single]
    runs: dict[str, Any] = {}
    times: dict[str, list[float]] = {}

    def timed(name: str, count: int, work: Callable[[], Any]) -> None:
        _wait(options.device)
        started = time.perf_counter()
        runs[name] = work()
        _wait(options.device)
        times.setdefault(name, []).append(1000 * (time.perf_counter() - started) / (count * n_prompts))

    for _ in range(options.repeats + 1):
        timed("hooks", len(few), lambda: games["hooks"].evaluate(few, progress=False))
        timed("peer", len(masks), lambda: hooks_batched(games["batched"], masks))
        timed("plain", len(masks), lambda: plain_forward(plain, task, len(masks)))
        for name in ("batched", "fused", "near")[: 3 if near else 2]:
            timed(name, len(masks), lambda name=name: games[name].evaluate(masks, progress=False))
        timed("gradients", len(masks), lambda: games["fused"].evaluate(masks, gradients=True, progress=False))
    ms = {name: statistics.median(rounds[1:]) for name, rounds in times.items()}  # the first round warms up
    fused = ms["fused"]
    exact = runs["fused"].per_prompt
    gap = max(np.abs(runs["peer"] - exact).max(), np.abs(runs["hooks"].per_prompt - exact[: len(few)]).max())
    bf16 = "–"
    if near:
        error = np.sqrt(np.mean((runs["near"].per_prompt - exact) ** 2))
        bf16 = f"{ms['peer'] / ms['near']:.2f}×, {ms['hooks'] / ms['near']:.1f}×, {error:.3f}"
    return (
        f"{ms['hooks']:.1f} | {ms['peer']:.1f} | {ms['plain']:.1f} | {ms['batched']:.1f} | {fused:.2f} | "
        f"{ms['hooks'] / fused:.1f}× | {ms['peer'] / fused:.2f}× | {fused / ms['plain']:.2f} | {bf16} | "
        f"{ms['gradients'] / fused:.2f}× | {gap:.1e} |"
    )


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
