"""Planted truths among training data, found again; and how much faster many trainings at once are than one by one.

python tools/bench/training.py plants --case digits --trials 5
python tools/bench/training.py plants --case ciphers --trials 2 --seeds 1 --contexts 12
python tools/bench/training.py speed --threads 2
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from training_plants import CASES, Planted, digits

import circuitspex as cx
from circuitspex.games.training.one_by_one import train_one
from circuitspex.games.training.stacked import train_stacked

SHARE = 0.2
"""What is smaller than this share of the largest measured effect of its kind is not reported as found."""


def found_truths(planted: Planted, found: cx.Found) -> tuple[set[str], set[str]]:
    """What was reported, and what was planted, each fact as a text with its sign."""
    largest = max((abs(edge.effect) for edge in found.circuit.interactions), default=0.0)
    reported = {
        _fact(edge.components, edge.effect)
        for edge in found.circuit.interactions
        if abs(edge.effect) >= SHARE * largest
    }
    nodes = [node for node in found.circuit.nodes if node.measured is not None and node.measured.high < 0]
    largest = max((abs(node.effect) for node in found.circuit.nodes), default=0.0)
    reported |= {_fact((node.name,), node.effect) for node in nodes if abs(node.effect) >= SHARE * largest}
    planted_facts = {_fact(pair, sign) for pair, sign in planted.pairs.items()}
    return reported, planted_facts | {_fact((name,), -1) for name in planted.harmful}


def _fact(names: tuple[str, ...], effect: float) -> str:
    return f"{' × '.join(sorted(names))} {'+' if effect > 0 else '−'}"


def plants(options: argparse.Namespace) -> None:
    print(f"`{' '.join(['python', *sys.argv])}`\n")
    print("| case, seed | players | ablations | with measuring | R² | reported | right | planted | missed or wrong |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    sums = np.zeros(3, dtype=int)
    started = time.perf_counter()
    for seed in range(options.first, options.first + options.trials):
        planted = CASES[options.case](seed)
        game = cx.TrainingGame(planted.training, planted.groups, seeds=options.seeds)
        found = cx.explain(
            game, options.budget, n_heldout=40, n_contexts=options.contexts, max_interactions=8, seed=seed
        )
        reported, truth = found_truths(planted, found)
        sums += (len(reported), len(reported & truth), len(truth))
        wrong = ", ".join(
            [*(f"no {fact}" for fact in truth - reported), *(f"also {fact}" for fact in reported - truth)]
        )
        print(
            f"| {options.case} {seed} | {game.n_players} | {options.budget} | {game.n_run} | "
            f"{found.faithfulness.r2:.2f} | {len(reported)} | {len(reported & truth)} | {len(truth)} | "
            f"{wrong or '–'} |",
            flush=True,
        )
    luck = f"{options.seeds} training seed{'s' if options.seeds > 1 else ''} a mask"
    print(
        f"\nPrecision {sums[1]}/{sums[0]} = {sums[1] / max(1, sums[0]):.2f}, recall {sums[1]}/{sums[2]} = "
        f"{sums[1] / sums[2]:.2f}; {luck}; {time.perf_counter() - started:.0f} s."
    )


def speed(options: argparse.Namespace) -> None:
    """The same trainings at once, and one after another as an ordinary loop: a module, torch.optim, kept rows only."""
    torch.set_num_threads(options.threads)
    planted = digits(0)
    training = planted.training
    game = cx.TrainingGame(training, planted.groups)
    masks = cx.sample_masks(game.n_players, options.runs, seed=0)
    weights = torch.as_tensor(game.players.weights(masks.astype(float)), dtype=training.dtype)
    few = weights[: options.one_by_one]
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "one after another": lambda: torch.stack([_ordinary(training, row > 0) for row in few]),
        "the reference": lambda: torch.stack([train_one(training, row, 0) for row in few]),
        "at once": lambda: torch.cat([train_stacked(training, part, 0) for part in weights.split(256)]),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    results = {}
    for repeat in range(options.repeats + 1):
        for name in list(ways)[:: 1 if repeat % 2 else -1]:
            started, worked = time.perf_counter(), time.process_time()
            results[name] = ways[name]()
            runs = len(results[name])
            if repeat:
                times[name].append(1000 * (time.perf_counter() - started) / runs)
                busy[name].append(1000 * (time.process_time() - worked) / runs)
    same = (results["one after another"] == results["at once"][: len(few)]).float().mean()
    print(f"`{' '.join(['python', *sys.argv])}` on {platform.machine()}, {options.threads} threads\n")
    print("| way | runs | ms a run, median (least to most) | times faster | CPU ms a run |")
    print("| --- | --- | --- | --- | --- |")
    base = statistics.median(times["one after another"])
    for name, each in times.items():
        middle = statistics.median(each)
        spread = f"{middle:.2f} ({min(each):.2f} to {max(each):.2f})"
        worked = statistics.median(busy[name])
        print(f"| {name} | {len(results[name])} | {spread} | {base / middle:.1f} | {worked:.2f} |")
    print(f"\n{same:.2%} of the test answers are the same in both ways (float32).")


def _ordinary(training: cx.Training, kept: torch.Tensor) -> torch.Tensor:
    """A training as one would write it: a module, Adam, and the kept examples of each batch."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=training.optimizer.lr)
    for batch in training.batches(0):
        rows = torch.as_tensor(batch)
        rows = rows[kept[rows]]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(training.x[rows]), training.y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        right = model(training.x_test).argmax(-1) == training.y_test
    return (right | (training.y_test == -100)).all(1).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser("plants")
    one.add_argument("--case", choices=sorted(CASES), default="digits")
    one.add_argument("--trials", type=int, default=5)
    one.add_argument("--first", type=int, default=0, help="the first trial's seed")
    one.add_argument("--budget", type=int, default=120)
    one.add_argument("--seeds", type=int, default=4, help="training seeds")
    one.add_argument("--contexts", type=int, default=8)
    one.set_defaults(run=plants)
    two = verbs.add_parser("speed")
    two.add_argument("--threads", type=int, default=2)
    two.add_argument("--runs", type=int, default=512)
    two.add_argument("--one-by-one", type=int, default=24)
    two.add_argument("--repeats", type=int, default=5)
    two.set_defaults(run=speed)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    options.run(options)


if __name__ == "__main__":
    main()
