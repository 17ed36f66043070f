"""Decoders on real games: R² on held-out ablations of a language model, over budgets.

Records each game once (random masks with gradients to decode from, plain ones to score on) and decodes it at several
budgets with every method. Recordings are kept in a folder and used again.

    python tools/bench/real_games.py --recordings runs/recordings
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import circuitspex as cx

GAMES = [
    ("ioi", "heads", 4),
    ("ioi", "heads", 12),
    ("ioi", "heads+mlps", 4),
    ("capitals", "heads", 4),
    ("capitals", "heads+mlps", 4),
    ("greater_than", "heads", 4),
    ("induction", "heads", 4),
    ("gendered_pronoun", "heads", 4),
]
METHODS = ("linear", "proxyspex", "gradspex")


def recording(folder: Path, name: str, components: str, prompts: int, budget: int, heldout: int) -> dict:
    path = folder / f"{name}_{components}_{prompts}.npz"
    if not path.exists():
        model = cx.load_model("smollm2-135m")
        task = getattr(cx.tasks, name)(model, n_prompts=prompts, seed=0)
        game = cx.ComponentGame(model, task, components, "mean")
        train = game.evaluate(cx.sample_masks(game.n_players, budget, seed=100), gradients=True)
        test = game.evaluate(cx.sample_masks(game.n_players, heldout, seed=200))
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            masks=train.masks,
            values=train.values,
            grads=train.gradients,
            tm=test.masks,
            tv=test.values,
            names=np.array(game.names),
        )
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", type=Path, default=Path("runs/recordings"))
    parser.add_argument("--budgets", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--heldout", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"`{' '.join(['python', *sys.argv])}` on {os.cpu_count()} cores ({platform.machine()}), SmolLM2-135M,")
    print(f"mean ablation, half kept; R² on {options.heldout} held-out masks;")
    print("the estimate is the cross-validated R² of gradspex, with its interval\n")
    print(
        "| game | components | prompts | ablations | linear | proxyspex | gradspex | its estimate | seconds to decode |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, components, prompts in GAMES:
        data = recording(options.recordings, name, components, prompts, max(options.budgets), options.heldout)
        for budget in options.budgets:
            row = []
            for method in METHODS:
                started = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    result = cx.decode(
                        data["masks"][:budget],
                        data["values"][:budget],
                        gradients=data["grads"][:budget],
                        method=method,
                        seed=options.seed,
                    )
                row.append(f"{result.score(data['tm'], data['tv']).r2:.3f}")
            seconds = time.perf_counter() - started
            estimate = result.cross_validated
            row += [f"{estimate.r2:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]", f"{seconds:.1f}"]
            print(f"| {name} | {components} | {prompts} | {budget} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
