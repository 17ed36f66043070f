"""Single MLP neurons: what is explained, what replicates, and what memory it takes.

    python tools/bench/neurons.py --folder runs/neurons --out docs/benchmarks/neurons.md

All neurons of SmolLM2-135M are the components of one game (with the heads, in one of them): 200 gradient ablations to
decode from, 300 plain ones to score on, some share of the components kept, 4 prompts. The strongest decoded
interactions are measured by paired ablations in 8 contexts; of the ten strongest that replicate, it is counted how many
keep their sign, with a 95 % interval that excludes 0 (over prompts and contexts), in 8 contexts that were not used
before. Ablations are kept in the folder; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import circuitspex as cx
from circuitspex.circuits import measure
from circuitspex.circuits.evidence._replicate import Measured
from circuitspex.circuits.evidence._strongest import measured_parts
from circuitspex.circuits.evidence.resolution import Resolution
from circuitspex.circuits.search.footprint import peak_memory
from circuitspex.recovery.scoring.r2 import r_squared

MODEL, PROMPTS, GRADIENTS, HELDOUT = "smollm2-135m", 4, 200, 300
MEASURED, COUNTED, CONTEXTS = 14, 10, 8


@dataclass(frozen=True)
class Spec:
    """A task, what its components are, the seed of prompts and masks, and the share that masks keep."""

    task: str
    components: str
    seed: int
    keep: float = 0.5

    @property
    def name(self) -> str:
        return f"{self.task}_{self.components}_{self.seed}" + ("" if self.keep == 0.5 else f"_{self.keep:g}")


SPECS = (
    Spec("ioi", "neurons", 5),
    Spec("greater_than", "neurons", 6),
    Spec("capitals", "neurons", 7),
    Spec("ioi", "heads+neurons", 8),
    Spec("ioi", "neurons", 5, keep=0.9),
    Spec("ioi", "neurons", 5, keep=0.95),
    Spec("greater_than", "neurons", 6, keep=0.9),
)
HEAD = (
    "task",
    "components",
    "n",
    "kept",
    "mean gradient alone",
    "gradspex",
    "95 % interval",
    "decoding, s",
    "measured",
    "replicate",
    "of the 10 strongest, again",
    "peak memory, GB",
)


def game_of(spec: Spec, folder: Path) -> cx.ComponentGame:
    """The game, with the folder's store."""
    model = cx.load_model(MODEL)
    task = getattr(cx.tasks, spec.task)(model, n_prompts=PROMPTS, seed=spec.seed)
    return cx.ComponentGame(model, task, spec.components, "mean", store=folder / "ablations.sqlite")


def masks_of(n: int, seed: int, keep: float) -> list[np.ndarray]:
    """The masks to decode from, those to score on, contexts to measure in, and contexts to measure in again."""
    seeds = [int(s) for s in np.random.SeedSequence([seed, 77]).generate_state(4)]
    return [
        cx.sample_masks(n, k, keep=keep, seed=s)
        for k, s in zip((GRADIENTS, HELDOUT, CONTEXTS, CONTEXTS), seeds, strict=True)
    ]


def row(spec: Spec, folder: Path) -> list[object]:
    """One line of the table."""
    game = game_of(spec, folder)
    masks, fresh, contexts, others = masks_of(game.n_players, spec.seed, spec.keep)
    run = game.evaluate(masks, gradients=True)
    test = game.evaluate(fresh)
    kept = folder / f"{spec.name}.json"
    if not kept.exists():
        cx.decode(
            run.masks, run.values, gradients=run.gradients, keep=spec.keep, names=game.names, seed=spec.seed
        ).save(kept)
    found = cx.Interactions.load(kept)
    score = found.score(fresh, test.values)
    slope = np.asarray(run.gradients, dtype=np.float64).mean(0) / 2
    alone = run.values.mean() + 2 * (fresh - masks.mean(0)) @ slope

    def evaluate(each: np.ndarray) -> np.ndarray:
        return game.evaluate(each).per_prompt

    resolution = Resolution.of(run.per_prompt, game.unit_roundoff)
    parts = measured_parts(found, game, evaluate, contexts, CONTEXTS, 1, MEASURED, resolution)
    edges, dropped = parts.interactions, parts.dropped
    place = {name: index for index, name in enumerate(game.names)}
    strongest = {tuple(sorted(place[name] for name in edge.components)): edge for edge in edges[:COUNTED]}
    again = 0
    if strongest:
        differences = measure(evaluate, list(strongest), others)
        for members, edge in strongest.items():
            estimate = Measured(members, differences[members], ()).estimate()
            again += estimate.excludes_zero and (estimate.value > 0) == (edge.effect > 0)
            print(
                f"  {' × '.join(edge.components):28} decoded {edge.decoded:+.3f}  measured {edge.measured}  {estimate}"
            )
    return [
        spec.task,
        spec.components,
        game.n_players,
        f"{spec.keep:g}",
        r_squared(test.values, alone),
        score.r2,
        f"{score.low:.2f} to {score.high:.2f}",
        round(found.seconds),
        len(edges) + len(dropped),
        len(edges),
        f"{again} of {len(strongest)}",
        f"{(peak_memory() or 0) / 1e9:.1f}",
    ]


def table(rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    lines += ["| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/neurons"))
    parser.add_argument("--only", nargs="+", help="names of games, such as ioi_neurons_5")
    parser.add_argument("--out", type=Path, help="write the table as Markdown")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    rows = []
    for spec in SPECS:
        if options.only and spec.name not in options.only:
            continue
        rows.append(row(spec, options.folder))
        print(rows[-1], flush=True)
    text = "\n\n".join(
        [
            "# Single neurons",
            f"`python tools/bench/neurons.py{' --only ' + ' '.join(options.only) if options.only else ''}`",
            " ".join((__doc__ or "").split("\n\n")[2].split()),
            table(rows),
        ]
    )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
