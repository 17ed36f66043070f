"""The ablation engine beside plain TransformerLens hooks one mask at a time: time a mask, and the largest difference.

The same masks on the same model in one run; times are medians over repeats, to be read as ratios.

    python tools/bench/engine.py --prompts 1 --masks 24
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys

import numpy as np

import circuitspex as cx

COMPONENTS = ("heads", "heads+mlps", "layers[20:30].heads", "heads@-1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--device")
    parser.add_argument("--prompts", type=int, default=1)
    parser.add_argument("--masks", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    model = cx.load_model(options.model, device=options.device)
    task = cx.tasks.ioi(model, n_prompts=options.prompts)
    device = next(model.parameters()).device
    print(f"`{' '.join(['python', *sys.argv])}` on {device}, {os.cpu_count()} cores ({platform.machine()})\n")
    print("| components | one at a time, ms a mask | batched | ratio | with gradients / batched | largest difference |")
    print("| --- | --- | --- | --- | --- | --- |")
    for components in COMPONENTS:
        games = {name: cx.ComponentGame(model, task, components, executor=name) for name in ("hooks", "batched")}
        masks = cx.sample_masks(games["batched"].n_players, options.masks, seed=0)
        times: dict[str, list[float]] = {"hooks": [], "batched": [], "gradients": []}
        for _ in range(options.repeats):
            slow = games["hooks"].evaluate(masks)
            fast = games["batched"].evaluate(masks)
            steep = games["batched"].evaluate(masks, gradients=True)
            for name, run in (("hooks", slow), ("batched", fast), ("gradients", steep)):
                times[name].append(1000 * run.seconds / len(masks))
        one, many, slope = (statistics.median(times[name]) for name in ("hooks", "batched", "gradients"))
        gap = np.abs(slow.per_prompt - fast.per_prompt).max()
        print(
            f"| {components} | {one:.1f} | {many:.1f} | {one / many:.1f}× | {slope / many:.1f}× | {gap:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
