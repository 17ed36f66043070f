"""Real games, recorded once: ablations of SmolLM2-135M, and of a model that is trained here to continue repeated words
(``induction_model.py``), that decoders are then compared on, kept in a folder.

    python tools/bench/recordings.py --folder runs/recordings --seed 1

Each file holds random masks, their values by prompt and in the mean, gradients at the first of them, and further masks
to score on. The seed sets prompts and masks, so that decoders can be judged on games that nobody tuned them to.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import induction_model
import numpy as np
from numpy.typing import NDArray
from recorded_tasks import TASKS

import circuitspex as cx

MODEL = "smollm2-135m"
TRAINED = "repeated"  # the task of the model that is trained here


@dataclass(frozen=True)
class Spec:
    """Which game: a task, built in or of ``recorded_tasks.py``; components; and how many masks of each kind."""

    task: str
    components: str
    keep: float = 0.5
    prompts: int = 4
    plain: int = 1000
    gradients: int = 200
    heldout: int = 500

    @property
    def name(self) -> str:
        return f"{self.task}_{self.components}_{self.keep:g}_{self.prompts}"


SPECS = (
    Spec("ioi", "heads"),
    Spec("ioi", "heads+mlps", plain=200),
    Spec("capitals", "heads", plain=200),
    Spec("capitals", "heads+mlps", plain=200),
    Spec("greater_than", "heads", plain=200),
    Spec("greater_than", "heads+mlps", plain=200),
    Spec("induction", "heads", plain=200),
    Spec("induction", "heads+mlps", plain=200),
    Spec("ioi", "heads", keep=0.8, plain=200),
    Spec("capitals", "heads+mlps", keep=0.8, plain=200),
    Spec("induction", "heads", keep=0.9, plain=200),
    Spec("induction", "heads", keep=0.95, plain=200),
    Spec("induction", "heads+mlps", keep=0.8, plain=200),
    Spec("induction", "heads+mlps", keep=0.9, plain=200),
    Spec("copying", "heads", plain=200),
    Spec("copying", "heads", keep=0.8, plain=200),
    Spec("copying", "heads", keep=0.9, plain=200),
    Spec("copying", "heads+mlps", keep=0.95, plain=200),
    Spec("facts", "heads", plain=200),
    Spec("facts", "heads", keep=0.9, plain=200),
    Spec("facts", "heads+mlps", keep=0.8, plain=200),
    Spec("facts", "heads+mlps", keep=0.95, plain=200),
    Spec("ioi", "heads+mlps", keep=0.9, plain=200),
    Spec("greater_than", "heads+mlps", keep=0.95, plain=200),
    Spec(TRAINED, "heads", plain=200),
    Spec(TRAINED, "heads", keep=0.9, plain=200),
)


@dataclass(frozen=True)
class Recording:
    """Arrays of one game: ``masks (K, n)``, ``per_prompt (K, prompts)``, ``values (K,)``, ``gradients (G, n)`` of the
    first G masks, and fresh ``test_masks`` with ``test_values``.
    """

    masks: NDArray[np.bool_]
    per_prompt: NDArray[np.float64]
    values: NDArray[np.float64]
    gradients: NDArray[np.float64]
    test_masks: NDArray[np.bool_]
    test_values: NDArray[np.float64]
    names: NDArray[np.str_]


def record(spec: Spec, seed: int, folder: Path) -> Recording:
    """The recording of a game: read from the folder, or made there."""
    path = folder / f"{spec.name}_seed{seed}.npz"
    if not path.exists():
        if spec.task == TRAINED:
            model, make = induction_model.load(folder), induction_model.task
        else:
            model, make = cx.load_model(MODEL), TASKS.get(spec.task) or getattr(cx.tasks, spec.task)
        task = make(model, n_prompts=spec.prompts, seed=seed)
        game = cx.ComponentGame(model, task, spec.components, "mean")
        seeds = [int(s) for s in np.random.SeedSequence([seed, 77]).generate_state(2)]
        masks = cx.sample_masks(game.n_players, max(spec.plain, spec.gradients), keep=spec.keep, seed=seeds[0])
        first = game.evaluate(masks[: spec.gradients], gradients=True)
        per_prompt = [first.per_prompt]
        if len(masks) > spec.gradients:
            per_prompt.append(game.evaluate(masks[spec.gradients :]).per_prompt)
        fresh = cx.sample_masks(game.n_players, spec.heldout, keep=spec.keep, seed=seeds[1])
        test = game.evaluate(fresh)
        folder.mkdir(parents=True, exist_ok=True)
        every = np.concatenate(per_prompt).astype(np.float64)
        part = path.with_suffix(".part.npz")
        np.savez(
            part,
            masks=masks,
            per_prompt=every,
            values=every.mean(1),
            gradients=first.gradients,
            test_masks=fresh,
            test_values=test.values,
            names=np.array(game.names),
        )
        part.replace(path)
    with np.load(path, allow_pickle=False) as stored:
        return Recording(**stored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/recordings"))
    parser.add_argument("--seed", type=int, default=0, help="of prompts and masks")
    parser.add_argument("--only", nargs="+", help="names of games, such as ioi_heads_0.5_4")
    options = parser.parse_args()
    for spec in SPECS:
        if options.only and spec.name not in options.only:
            continue
        found = record(spec, options.seed, options.folder)
        print(f"{spec.name}: {found.masks.shape[1]} components, {len(found.masks)} masks", flush=True)


if __name__ == "__main__":
    main()
