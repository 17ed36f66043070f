"""What a pass over all edges costs, beside a node-ablated pass and the model itself, in time and memory.

    python tools/bench/edge_passes.py --out docs/benchmarks/edge_passes.md
    python tools/bench/edge_passes.py --device cuda --model smollm2-135m-shape --masks 32 --out runs/edge_passes.md

All ways run in turns on the same prompts and as many rows at once, in float32; the table has the median over the rounds
and, in brackets, the least and the most. On a CPU these are processor seconds of one thread, and memory is the growth
of the process while the pass runs, from one process a way; on a CUDA device seconds until it has finished, and what it
allocates at most. Shapes have random weights and prompts of 14 random words.
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

_WORDS = 14


def works(name: str, task: str, n_prompts: int, n_masks: int, device: str) -> dict[str, Callable[[], Any]]:
    """Each way as a function of nothing, made ready."""
    import torch
    from ablation_models import SHAPES, build

    import circuitspex as cx
    from circuitspex.ablation.edges import engine

    if name in SHAPES:
        model, _, prompts = build(name, device, torch.float32, n_prompts, _WORDS)
    else:
        model = cx.load_model(name, device=device)
        examples = getattr(cx.tasks, task)(model, n_prompts=n_prompts, seed=0).examples
        prompts = cx.Task.from_examples(model, list(examples))
    rows = n_prompts * n_masks
    nodes = cx.ComponentGame(model, prompts, "heads+mlps", baseline="resample", batch_rows=rows)
    edges = cx.EdgeGame(model, prompts, "edges", batch_rows=rows)
    rng = np.random.default_rng(0)
    some = rng.random((n_masks, nodes.n_players)) < 0.5
    gates = rng.random((n_masks, edges.n_players)) < 0.9
    tokens = prompts.tokens.repeat(n_masks, 1).to(device)

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
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-of", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch
    from ablation_models import SHAPES
    from device_time import peak_gib, wait

    on_card = options.device.startswith("cuda")
    if on_card and not torch.cuda.is_available():
        sys.exit("--device cuda needs a CUDA device")
    torch.set_num_threads(1)
    ways = works(options.model, options.task, options.prompts, options.masks, options.device)
    if options.memory_of:
        print(growth(ways[options.memory_of]))
        return
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    clock = time.perf_counter if on_card else time.process_time
    for turn in range(options.rounds + 1):
        for name, work in ways.items():
            begin = clock()
            work()
            wait(options.device)
            if turn:  # the first makes ready
                seconds[name].append(clock() - begin)
    arguments = ["--model", options.model, "--task", options.task, "--prompts", str(options.prompts)]
    arguments += ["--masks", str(options.masks), "--device", options.device]

    def memory(name: str) -> float:
        if on_card:
            return peak_gib(ways[name], options.device) * 2**30 / 1e9
        command = [sys.executable, __file__, *arguments, "--memory-of", name]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])

    rows = options.prompts * options.masks
    where = torch.cuda.get_device_name() if on_card else "one thread, processor seconds"
    digits = 4 if on_card else 2
    lines = [
        "# What a pass over all edges costs",
        "",
        f"`python tools/bench/edge_passes.py {' '.join(arguments)} --rounds {options.rounds}`: {options.model}, "
        f"{'random words' if options.model in SHAPES else options.task}, {options.masks} masks on {options.prompts} "
        f"prompts at once ({rows} rows), float32, {where}. All ways in turns: the median, and the least and the most.",
        "",
        "| way | seconds | of a node-ablated pass | memory, GB |",
        "| --- | ---: | ---: | ---: |",
    ]
    nodes = median(seconds["nodes (heads+mlps)"])
    for name, each in seconds.items():
        lines.append(
            f"| {name} | {median(each):.{digits}f} ({min(each):.{digits}f} to {max(each):.{digits}f}) | "
            f"{median(each) / nodes:.1f} | {memory(name):.2f} |"
        )
    plain, slopes = median(seconds["edges"]), median(seconds["edges, with gradients"])
    lines += ["", f"With gradients a pass over edges takes {slopes / plain:.1f} times the plain one.", ""]
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
