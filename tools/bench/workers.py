"""How much faster 2 to N workers are than one: ablations of a model, and chunks that only wait.

python tools/bench/workers.py --most 2 --masks 128
python tools/bench/workers.py --most 8 --wait 0.25

Efficiency is the rate of n workers over n times that of one. Chunks that only wait take no processor, so that they show
what the driver and Ray cost by themselves, also with more workers than this machine has cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import circuitspex as cx

CHUNK = 8


class Waits:
    """A game whose masks take so many seconds each."""

    n_players = 64

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, masks: Any) -> Any:
        time.sleep(self.seconds * len(masks))
        return masks.sum(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=2)
    parser.add_argument("--masks", type=int, default=128)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--wait", type=float, help="chunks of so many seconds that only wait, instead of a model")
    parser.add_argument("--times", type=Path, help="write the seconds of each chunk here, for the simulation")
    options = parser.parse_args()
    print(f"`{' '.join(['python', *sys.argv])}`\n")
    print("| workers | ablations/s | efficiency | chunks, median s | the driver and Ray, ms a chunk |")
    print("| --- | --- | --- | --- | --- |")
    one, kept = 0.0, {}
    for n in sorted({1, *(2**k for k in range(1, 10) if 2**k <= options.most), options.most}):
        rate, seconds, overhead = measured(options, n)
        one = one or rate
        print(
            f"| {n} | {rate:.3g} | {rate / (n * one):.2f} | {statistics.median(seconds):.3g} | {1000 * overhead:.1f} |",
            flush=True,
        )
        kept[str(n)] = {"seconds": seconds, "overhead": overhead}
        if options.times is not None:
            options.times.write_text(json.dumps(kept, indent=1) + "\n")


def measured(options: argparse.Namespace, n: int) -> tuple[float, list[float], float]:
    """Ablations a second, the seconds of each chunk, and what a chunk costs besides, of n workers."""
    share = 0.1 if options.wait is not None else 1
    with cx.RayWorkers(f"local:{n}", cpus=share, chunk=CHUNK) as workers:
        if options.wait is not None:
            game: Any = cx.FunctionGame(Waits(options.wait / CHUNK), workers=workers)
        else:
            model = cx.load_model(options.model)
            task = cx.tasks.ioi(model, n_prompts=options.prompts)
            game = cx.ComponentGame(model, task, "heads", workers=workers)
        masks = np.unique(cx.sample_masks(game.n_players, options.masks, seed=1), axis=0)
        while len(workers._crew._ready) < n or any(not member.ablations for member in workers._crew._ready):
            game.evaluate(cx.sample_masks(game.n_players, 2 * n * CHUNK, seed=2), progress=False)
        before = {member: (member.ablations, member.seconds) for member in workers._crew._ready}
        seconds: list[float] = []
        since = dict.fromkeys(before, 0.0)

        def done(_: float) -> None:
            for member, (_, start) in before.items():
                if member.seconds - start > since[member]:
                    seconds.append(member.seconds - start - since[member])
                    since[member] = member.seconds - start

        began = time.perf_counter()
        game._in_chunks(masks, False, done)
        took = time.perf_counter() - began
    return len(masks) / took, seconds, max(0.0, n * took - sum(seconds)) / max(1, len(seconds))


if __name__ == "__main__":
    main()
