"""Attribution patching on nodes: the baseline that circuits have to beat.

The score of a component is how much ablating it would lower the metric if the model were linear in its gate. With
``z' = b + g (z - b)``, ``dm/dg`` at the unablated model is ``(z - b) . dm/dz``: attribution patching on nodes (Nanda
2023; Syed, Rager and Conmy 2023), NAP in MIB. NAP-IG averages the same slope along a straight path between the ablated
and the unablated model (integrated gradients, Sundararajan et al. 2017); here the path moves all gates together from 0
to 1, so its scores add up to ``m(full) - m(empty)``. MIB's moves the input embeddings instead: 'nap-ig-inputs' of
``attribution_scores``, where the field's other methods are too.
"""

from __future__ import annotations

import numpy as np

from circuitspex.errors import UserError
from circuitspex.games import LensGame, RememberingGame
from circuitspex.typing import FloatArray


def nap(game: LensGame | RememberingGame, *, progress: bool | None = None) -> FloatArray:
    """Attribution patching on nodes: float ``(n,)``, in units of the metric; one gradient ablation."""
    return _gradients(game, np.ones((1, game.n_players)), progress)


def nap_ig(game: LensGame | RememberingGame, *, steps: int = 5, progress: bool | None = None) -> FloatArray:
    """Attribution patching on nodes with integrated gradients: float ``(n,)``; ``steps`` gradient ablations.

    Gates are at the middles of ``steps`` equal parts of the way from 0 to 1.
    """
    if steps < 1:
        raise UserError(f"integrated gradients need at least one step, not {steps}")
    shares = (np.arange(steps) + 0.5) / steps
    return _gradients(game, np.repeat(shares[:, None], game.n_players, axis=1), progress)


def ranked(scores: FloatArray, *, absolute: bool = False) -> list[int]:
    """Components by score, the highest first; by absolute score where asked, as MIB offers both."""
    keys = np.abs(scores) if absolute else scores
    return [int(i) for i in np.argsort(-keys, kind="stable")]


def _gradients(game: LensGame | RememberingGame, gates: FloatArray, progress: bool | None) -> FloatArray:
    asked = RememberingGame.of(game, progress)
    run = asked.evaluate(gates, gradients=True, stage="attribution patching")
    assert run.gradients is not None
    return np.asarray(np.asarray(run.gradients, dtype=np.float64).mean(0))
