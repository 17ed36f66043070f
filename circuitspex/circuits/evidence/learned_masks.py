"""Masks that keep the k components of the highest score, with scores that are learned by gradient.

Each pass keeps the components whose scores are the highest, as many as one of MIB's shares, drawn anew; the slopes of
the metric in the gates at that mask are added to the scores, as if the mask were the scores themselves (the
straight-through gradient of Ramanujan et al., 'What's Hidden in a Randomly Weighted Neural Network?', 2020). Scores
start at zero, where nothing says what to leave out: the first pass keeps everything. Plain ascent from zero gives an
order that the step size does not change, so there is none to be chosen.
"""

from __future__ import annotations

import numpy as np

from circuitspex.circuits.evidence.attribution import ranked
from circuitspex.circuits.evidence.curve import sizes_of
from circuitspex.games import LensGame, RememberingGame
from circuitspex.scale import check_seed, whole
from circuitspex.typing import FloatArray


def learned_top_k(
    game: LensGame | RememberingGame, *, passes: int, seed: int = 0, progress: bool | None = None
) -> FloatArray:
    """The scores ``(n,)``, means of slopes in units of the metric; ``passes`` gradient ablations, one after the other.

    Args:
        game: whose players are scored.
        passes: gradient ablations, all on the same prompts.
        seed: of the shares that are kept.
        progress: progress bars; by default where standard error is a terminal.
    """
    passes = whole(passes, "steps", 1)
    rng = np.random.default_rng(check_seed(seed))
    asked = RememberingGame.of(game, progress)
    n = asked.n_players
    sizes = sorted({size for size in sizes_of(n) if 0 < size < n}) or [n]
    total = np.zeros(n)
    size = n
    for _ in range(passes):
        mask = np.zeros((1, n), dtype=np.bool_)
        mask[0, ranked(total)[:size]] = True
        run = asked.evaluate(mask, gradients=True, stage="learned masks")
        assert run.gradients is not None
        total += np.asarray(run.gradients, dtype=np.float64)[0]
        size = sizes[int(rng.integers(len(sizes)))]
    return total / passes
