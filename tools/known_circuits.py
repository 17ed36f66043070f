"""Precision and recall against circuits that are known: planted, compiled, and a trained induction model.

    python tools/known_circuits.py --out docs/benchmarks/known_circuits.md

The truth is what running every mask gives: sets of up to three whose effect exceeds 5 % of the largest. Of the compiled
programs it is the components in which the compiler (Tracr) put a part of the program, and interactions are not scored.
A decoder reports what exceeds 5 % of its own largest effect and two of its standard errors; '+ replication' measures
them again in 16 fresh contexts; what is left has a false discovery rate of 5 %. Attribution patching only names
components.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests" / "ground_truth"), str(ROOT / "tools")]

import compiled  # noqa: E402
import induction  # noqa: E402
import known  # noqa: E402
import plants  # noqa: E402

import circuitspex as cx  # noqa: E402

METHODS = ("linear", "proxyspex", "gp", "pursuit", "gradspex", "auto")


@dataclass(frozen=True)
class Case:
    """A game, what is true of it, and the share of components that its masks keep."""

    game: Any
    truth: known.Truth
    keep: float = 0.5

    @classmethod
    def measured(cls, model: Any, task: Any) -> Case:
        """A game of the heads, whose truth is what running every mask gives."""
        game = cx.ComponentGame(model, task)
        return cls(game, known.exact(game))


def cases(only: str = "") -> dict[str, list[Case]]:
    """By name, games whose circuit is known; those whose name begins with ``only``."""
    found: dict[str, list[Case]] = {}
    if "planted".startswith(only[:7]):
        models = [plants.build(plant) for plant in (plants.USUAL, *(plants.random_plant(seed) for seed in range(4)))]
        found["planted (5 models, 10 heads)"] = [Case.measured(m, plants.task(m)) for m in models]
    if "induction".startswith(only[:9]):
        learnt = induction.load_checkpoint(1000)
        found["induction (8 heads)"] = [Case.measured(learnt, induction.task(learnt, n_prompts=12))]
    if "Tracr".startswith(only[:5]):
        found[f"Tracr ({len(compiled.PROGRAMS)} programs, 4 to 16 heads and MLPs)"] = programs()
    return found


def programs() -> list[Case]:
    """Compiled programs. Chains of steps: masks that ablate half of them nearly always break them, so more is kept."""
    out = []
    for name, about in compiled.PROGRAMS.items():
        model = compiled.build(name)
        game = cx.ComponentGame(model, compiled.task(name, model), "heads+mlps")
        out.append(Case(game, known.Truth(set(about["circuit"]), {}), 0.6))
    return out


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
    parser.add_argument("--budget", type=int, default=128, help="ablations; all where there are fewer")
    parser.add_argument("--seeds", type=int, default=3, help="sets of masks for each game")
    parser.add_argument("--only", default="", metavar="GAME", help="only games whose name begins so, such as Tracr")
    options = parser.parse_args()
    started, rows = time.perf_counter(), []
    for name, several in cases(options.only).items():
        nodes = [known.Score.of(known.patched(case.game), case.truth.nodes) for case in several]
        blank = ["–", "–"] if not any(case.truth.interactions for case in several) else None
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
            for case in several:
                for seed in range(options.seeds):
                    found = known.recovered(known.decoded(case.game, method, options.budget, seed, case.keep))
                    again = known.replicated(case.game, found, seed=seed + 1, keep=case.keep)
                    raw.append(known.scores(case.truth, found))
                    checked.append(known.scores(case.truth, again))
            rows.append([name, method, *mean(raw)[:2], *(blank or mean(raw)[2:])])
            rows.append([name, f"{method} + replication", *mean(checked)[:2], *(blank or mean(checked)[2:])])
            print(rows[-1], f"{time.perf_counter() - started:.0f} s", flush=True)
    head = (
        "game",
        "method",
        "node precision",
        "node recall",
        "interaction precision",
        "interaction recall",
    )
    only = f" --only {options.only}" if options.only else ""
    text = "\n\n".join(
        [
            "# Recovering known circuits",
            f"`python tools/known_circuits.py{only} --budget {options.budget} --seeds {options.seeds}`",
            " ".join((__doc__ or "").split("\n\n")[2].split()),
            f"{options.budget} ablations (with gradients for `gradspex` and `auto`), all where there are fewer, "
            f"sets of masks a game: {options.seeds}; means over them.",
            known.table(rows, head),
        ]
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
