"""A search and a sweep of retrainings on two workers, one of which is killed, beside the same without workers.

    python tools/lose_a_worker.py

Starts a Ray cluster of this machine, runs the search of `make demo` on two workers, ends one of them as `kill -9` does
when a quarter of the ablations is done, and compares the circuit with that of a search in this process: the same heads
and interactions, effects within 1e-4. Then the same for a small network that is trained anew without some groups of its
examples, whose values must be equal bit for bit. Prints a table; the exit status says whether all of it held.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

import circuitspex as cx

CLOSE = 1e-4
GROUPS, PER_GROUP = 10, 12


def trained(mask: Any, seed: int) -> float:
    """The loss on test data of a network trained on the groups that the mask keeps (True = kept)."""
    torch.set_num_threads(1)
    data = torch.Generator().manual_seed(1)
    x = torch.randn(GROUPS * PER_GROUP + 200, 6, generator=data)
    y = torch.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]
    kept = torch.as_tensor(np.repeat(np.asarray(mask, dtype=bool), PER_GROUP))
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(6, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    adam = torch.optim.Adam(network.parameters(), 0.01)
    train = slice(0, GROUPS * PER_GROUP)
    for _ in range(150):
        adam.zero_grad()
        loss = (network(x[train][kept])[:, 0] - y[train][kept]).square().sum() / max(1, int(kept.sum()))
        loss.backward()
        adam.step()
    with torch.no_grad():
        rest = slice(GROUPS * PER_GROUP, None)
        return float((network(x[rest])[:, 0] - y[rest]).square().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--trainings", type=int, default=64)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"`python {' '.join(sys.argv)}`\n")
    print("| | here, s | two workers, one killed, s | killed after | workers started | largest difference | holds |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with cx.RayWorkers("local:2") as workers:
        held = [search(workers, options), sweep(workers, options)]
    sys.exit(0 if all(held) else 1)


def search(workers: cx.RayWorkers, options: argparse.Namespace) -> bool:
    """The search of the demo."""
    model = cx.load_model(options.model)
    task = cx.tasks.ioi(model, n_prompts=options.prompts, seed=0)

    def find(crew: cx.RayWorkers | None) -> cx.Found:
        return cx.find_circuit(model, task, "heads", budget=options.budget, workers=crew, progress=False)

    near, near_s = timed(lambda: find(None))
    with one_killed(workers, options.budget // 4) as killed:
        far, far_s = timed(lambda: find(workers))
    one, other = parts_of(near), parts_of(far)
    apart = max((abs(one[name] - other[name]) for name in one.keys() & other.keys()), default=0.0)
    holds = bool(killed) and one.keys() == other.keys() and apart <= CLOSE
    row(f"search, {len(one)} nodes and interactions", near_s, far_s, killed, workers, apart, holds)
    return holds


def sweep(workers: cx.RayWorkers, options: argparse.Namespace) -> bool:
    """Retrainings."""
    masks = np.unique(cx.sample_masks(GROUPS, options.trainings, seed=0), axis=0)
    function = cx.games.TrainFunction(trained, workers=0, name="trained")

    def values(crew: cx.RayWorkers | None) -> np.ndarray:
        game = cx.TrainingGame(function, GROUPS, seeds=2, workers=crew)
        return np.asarray(game.evaluate(masks, progress=False).per_prompt)

    near, near_s = timed(lambda: values(None))
    with one_killed(workers, len(masks) // 4) as killed:
        far, far_s = timed(lambda: values(workers))
    apart = float(np.abs(near - far).max())
    row(f"{2 * len(masks)} retrainings", near_s, far_s, killed, workers, apart, bool(killed) and apart == 0)
    return bool(killed) and apart == 0


def parts_of(found: cx.Found) -> dict[str, float]:
    """The effects of a circuit's nodes and interactions by name."""
    nodes = {node.name: node.effect for node in found.circuit.nodes}
    return nodes | {"×".join(each.components): each.effect for each in found.circuit.interactions}


@contextmanager
def one_killed(workers: cx.RayWorkers, after: int) -> Iterator[list[int]]:
    """One worker is ended when so many ablations are done in the block; what it gives fills with that number."""
    killed: list[int] = []
    over = threading.Event()
    before = dict(workers.done)

    def end() -> None:
        while not over.wait(0.01):
            done = {name: count - before.get(name, 0) for name, count in workers.done.items()}
            if sum(done.values()) >= after:
                # A worker's name ends with the number of its process: 'worker 2 (host, process 4242)'.
                busiest = max(done, key=lambda name: done[name])
                os.kill(int(busiest.rpartition(" ")[2].rstrip(")")), signal.SIGKILL)
                killed.append(sum(done.values()))
                return

    watcher = threading.Thread(target=end)
    watcher.start()
    try:
        yield killed
    finally:
        over.set()
        watcher.join()


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What a function gives, and its seconds."""
    started = time.perf_counter()
    return run(), time.perf_counter() - started


def row(
    what: str, near: float, far: float, killed: list[int], workers: cx.RayWorkers, apart: float, holds: bool
) -> None:
    """One line of the table."""
    after = f"{killed[0]} ablations" if killed else "never"
    said = "yes" if holds else "**no**"
    print(f"| {what} | {near:.1f} | {far:.1f} | {after} | {len(workers.done)} | {apart:.1e} | {said} |", flush=True)


if __name__ == "__main__":
    main()
