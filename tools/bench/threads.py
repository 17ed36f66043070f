"""Ablations with one thread, with PyTorch's own number, and with the number that a trial chooses, beside busy loops.

    python tools/bench/threads.py --model smollm2-135m --rounds 5

The three are run in turn, so that what else the machine does meets all of them; wall seconds are counted, since waiting
is what there is to see. The trial's own time counts. Busy loops are processes that compute without end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SETTINGS = {"one thread": "1", "PyTorch's own": "all", "chosen by a trial": "auto"}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute, for as long as the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def seconds(game: Any, n_masks: int, seed: int, setting: str) -> tuple[float, int]:
    """Wall seconds of new masks under a setting, and how many threads ran."""
    import torch

    import circuitspex as cx
    from circuitspex.models import threads

    os.environ["CIRCUITSPEX_THREADS"] = str(torch.get_num_threads()) if setting == "all" else setting
    threads._latest.choice = None  # each measured block has a trial of its own
    masks = cx.sample_masks(game.n_players, n_masks, seed=seed)
    began = time.perf_counter()
    game(masks)
    taken = time.perf_counter() - began
    return taken, threads.chosen_threads().threads


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="name of the catalogue, or a folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--masks", type=int, default=8)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--loops", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    import circuitspex as cx

    model = cx.load_model(options.model, device="cpu")
    game = cx.ComponentGame(model, cx.tasks.ioi(model, n_prompts=options.prompts, seed=0), "heads")
    lines = [f"| busy loops | {' | '.join(SETTINGS)} | chosen / one thread | threads chosen |", f"|{' --- |' * 6}"]
    for loops in options.loops:
        taken: dict[str, list[float]] = {name: [] for name in SETTINGS}
        counts: list[int] = []
        with busy(loops):
            for seed in range(options.rounds):
                for name, setting in SETTINGS.items():
                    one, count = seconds(game, options.masks, seed, setting)
                    taken[name].append(one)
                    if setting == "auto":
                        counts.append(count)
        medians = [statistics.median(each) for each in taken.values()]
        chosen = ", ".join(f"{count}: {counts.count(count)}x" for count in sorted(set(counts)))
        ratio = statistics.median(b / a for a, b in zip(taken["one thread"], taken["chosen by a trial"], strict=True))
        lines.append(f"| {loops} | {' | '.join(f'{each:.2f} s' for each in medians)} | {ratio:.2f} | {chosen} |")
        print(lines[-1], file=sys.stderr)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
