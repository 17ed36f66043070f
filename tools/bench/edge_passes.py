"""What a pass over all edges costs, beside a node-ablated pass and the model itself, in processor time and memory.

    python tools/bench/edge_passes.py --out docs/benchmarks/edge_passes.md

All ways run in turns on the same prompts and as many rows at once, with one thread; the table has the median over the
rounds and, in brackets, the least and the most. Memory is the growth of the process while the pass runs, from one
process a way.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

WAYS = (
    "the model",
    "nodes (heads+mlps)",
    "nodes, with gradients",
    "edges",
    "edges, with gradients",
    "edges, with gradients, layers computed again",
)


def works(name: str, task: str, n_prompts: int, n_masks: int) -> dict[str, Callable[[], Any]]:
    """Each way as a function of nothing, made ready."""
    import torch

    import circuitspex as cx
    from circuitspex.ablation.edges import engine

    model = cx.load_model(name)
    prompts = cx.Task.from_examples(model, list(getattr(cx.tasks, task)(model, n_prompts=n_prompts, seed=0).examples))
    rows = n_prompts * n_masks
    nodes = cx.ComponentGame(model, prompts, "heads+mlps", baseline="resample", batch_rows=rows)
    edges = cx.EdgeGame(model, prompts, "edges", batch_rows=rows)
    rng = np.random.default_rng(0)
    some = rng.random((n_masks, nodes.n_players)) < 0.5
    gates = rng.random((n_masks, edges.n_players)) < 0.9
    tokens = prompts.tokens.repeat(n_masks, 1)

    def of_edges(recomputes: bool) -> Any:
        for group in edges._engine._groups:
            if not isinstance(group.forward, engine.EdgesFused):
                raise SystemExit(f"the fast way is not for this model: {edges.executor}")
            group.forward.recomputes = recomputes
        return edges._engine.evaluate(gates.astype(float), gradients=True)

    def plain() -> Any:
        with torch.no_grad():
            return model(tokens, use_cache=False)

    return dict(
        zip(
            WAYS,
            (
                plain,
                lambda: nodes.evaluate(some, progress=False),
                lambda: nodes.evaluate(some, gradients=True, progress=False),
                lambda: edges._engine.evaluate(gates.astype(float)),
                lambda: of_edges(False),
                lambda: of_edges(True),
            ),
            strict=True,
        )
    )


def growth(work: Callable[[], Any]) -> float:
    """By how many GB the process grows while it works, at most."""
    import psutil

    process, peak, running = psutil.Process(), 0, True
    before = process.memory_info().rss

    def look() -> None:
        nonlocal peak
        while running:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.002)

    watcher = threading.Thread(target=look)
    watcher.start()
    work()
    running = False
    watcher.join()
    return (peak - before) / 1e9


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--masks", type=int, default=2, help="at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-of", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    ways = works(options.model, options.task, options.prompts, options.masks)
    if options.memory_of:
        print(growth(ways[options.memory_of]))
        return
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.rounds + 1):
        for name, work in ways.items():
            begin = time.process_time()
            work()
            if turn:  # the first makes ready
                seconds[name].append(time.process_time() - begin)
    arguments = ["--model", options.model, "--task", options.task, "--prompts", str(options.prompts)]
    arguments += ["--masks", str(options.masks)]
    rows = options.prompts * options.masks
    lines = [
        "# What a pass over all edges costs",
        "",
        f"`python tools/bench/edge_passes.py {' '.join(arguments)} --rounds {options.rounds}`: {options.model}, "
        f"{options.task}, {options.masks} masks on {options.prompts} prompts at once ({rows} rows), one thread. "
        "Processor seconds of a pass, all ways in turns: the median, and the least and the most.",
        "",
        "| way | seconds | of a node-ablated pass | memory, GB |",
        "| --- | ---: | ---: | ---: |",
    ]
    nodes = median(seconds["nodes (heads+mlps)"])
    for name, each in seconds.items():
        found = subprocess.run(
            [sys.executable, __file__, *arguments, "--memory-of", name], capture_output=True, text=True, check=True
        )
        lines.append(
            f"| {name} | {median(each):.2f} ({min(each):.2f} to {max(each):.2f}) | {median(each) / nodes:.1f} | "
            f"{float(found.stdout.split()[-1]):.2f} |"
        )
    plain, slopes = median(seconds["edges"]), median(seconds["edges, with gradients"])
    lines += ["", f"With gradients a pass over edges takes {slopes / plain:.1f} times the plain one.", ""]
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
