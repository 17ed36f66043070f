"""Precision and recall against circuits that are known: planted transformers and a trained induction model.

    python tools/known_circuits.py --out docs/benchmarks/known_circuits.md

The truth is what running every mask gives: sets of up to three whose effect exceeds 5 % of the largest. A decoder
reports what exceeds 5 % of its own largest effect and two of its standard errors; '+ replication' measures them again
in 16 fresh contexts; what is left has a false discovery rate of 5 %. Attribution patching only names components.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "ground_truth"), str(ROOT / "tools")]

import induction  # noqa: E402
import known  # noqa: E402
import plants  # noqa: E402

import circuitspex as cx  # noqa: E402

METHODS = ("linear", "proxyspex", "gp", "pursuit", "gradspex", "auto")


def games() -> dict[str, list[Any]]:
    """By name, games whose every mask can be run."""
    planted = [plants.USUAL, *(plants.random_plant(seed) for seed in range(4))]
    models = [plants.build(plant) for plant in planted]
    learnt = induction.load_checkpoint(1000)
    return {
        "planted (5 models, 10 heads)": [cx.ComponentGame(model, plants.task(model)) for model in models],
        "induction (8 heads)": [cx.ComponentGame(learnt, induction.task(learnt, n_prompts=12))],
    }


def mean(found: list[tuple[known.Score, known.Score]]) -> list[float]:
    """Node precision and recall, interaction precision and recall."""
    return [
        float(np.mean([getattr(pair[kind], what) for pair in found]))
        for kind in (0, 1)
        for what in ("precision", "recall")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/known_circuits.md"))
    parser.add_argument("--budget", type=int, default=96, help="ablations, of 1,024 or 256 that there are")
    parser.add_argument("--seeds", type=int, default=3, help="sets of masks for each game")
    options = parser.parse_args()
    started, rows = time.perf_counter(), []
    for name, several in games().items():
        truths = [known.exact(game) for game in several]
        nodes = [known.Score.of(known.patched(game), truth.nodes) for game, truth in zip(several, truths, strict=True)]
        rows.append(
            [
                name,
                "attribution patching",
                float(np.mean([score.precision for score in nodes])),
                float(np.mean([score.recall for score in nodes])),
                "–",
                "–",
            ]
        )
        for method in METHODS:
            raw, checked = [], []
            for game, truth in zip(several, truths, strict=True):
                for seed in range(options.seeds):
                    found = known.recovered(known.decoded(game, method, options.budget, seed))
                    raw.append(known.scores(truth, found))
                    checked.append(known.scores(truth, known.replicated(game, found, seed=seed + 1)))
            rows.append([name, method, *mean(raw)])
            rows.append([name, f"{method} + replication", *mean(checked)])
            print(rows[-1], f"{time.perf_counter() - started:.0f} s", flush=True)
    head = (
        "game",
        "method",
        "node precision",
        "node recall",
        "interaction precision",
        "interaction recall",
    )
    text = "\n\n".join(
        [
            "# Recovering known circuits",
            f"`python tools/known_circuits.py --budget {options.budget} --seeds {options.seeds}`",
            " ".join((__doc__ or "").split("\n\n")[2].split()),
            f"{options.budget} ablations (with gradients for `gradspex` and `auto`), {options.seeds} sets of masks a "
            "game; means over them.",
            known.table(rows, head),
        ]
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
