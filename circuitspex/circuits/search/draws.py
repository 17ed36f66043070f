"""Masks and contexts that are drawn: none twice where there are few, and all of them where these are no more.

What every mask was run for is exact: nothing was drawn, so there is no interval over masks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from circuitspex.circuits.circuit import Faithfulness
from circuitspex.circuits.search.options import MORE_CONTEXTS
from circuitspex.masks import Keep, every_mask, sample_masks
from circuitspex.masks.members import unseen
from circuitspex.recovery import Interactions
from circuitspex.recovery.decoders.exact import MOST_PLAYERS
from circuitspex.recovery.scoring.r2 import r_squared
from circuitspex.typing import Masks, Values

EVERY_CONTEXT = 64
"""Where there are no more masks than this, or than have been run, sets are measured in every context."""
LEAST_HELDOUT = 4
"""With fewer masks left that no fit has seen, R² is not measured."""


def drawn(n_players: int, count: int, keep: Keep, seed: int) -> Masks:
    """Random masks; where there are few of them, without drawing any twice (and as many as there are at most)."""
    if keep == 0.5 and n_players <= MOST_PLAYERS and 2**n_players <= 2 * count:
        return every_mask(n_players, seed=seed)[:count]
    return sample_masks(n_players, count, keep=keep, seed=seed)


def contexts_of(n_players: int, n_contexts: int, share: float, n_run: int, seed: int) -> tuple[Masks, int]:
    """The contexts in which sets are measured, and with how many to begin: with all of them where they are few.

    ``n_run``: how many masks have been run.
    """
    if share == 0.5 and n_players <= MOST_PLAYERS and 2**n_players <= max(n_run, EVERY_CONTEXT):
        contexts = every_mask(n_players, seed=seed)
        return contexts, len(contexts)  # what is measured in all of them is exact
    return drawn(n_players, MORE_CONTEXTS * n_contexts, share, seed), n_contexts


def score_on_new_masks(
    interactions: Interactions,
    seen: Masks,
    values_of: Callable[[Masks], Values],
    *,
    n_heldout: int,
    keep: Keep,
    seed: int,
) -> Faithfulness:
    """R² on masks that no fit has seen, or on all masks where they are few; not measured where too few are left."""
    n = seen.shape[1]
    if keep == 0.5 and n <= MOST_PLAYERS and 2**n <= len(np.unique(seen, axis=0)) + n_heldout:
        everything = every_mask(n)
        r2 = r_squared(values_of(everything), interactions.predict(everything))
        return Faithfulness(r2, None, None, len(everything), exact=True)
    more_drawn = len(seen) if n <= MOST_PLAYERS else 0  # of few masks many have been seen
    fresh = unseen(drawn(n, n_heldout + more_drawn, keep, seed), seen)[:n_heldout]
    if len(fresh) < min(max(2, n_heldout // 2), LEAST_HELDOUT):
        return Faithfulness(None, None, None, 0)  # an R² of a few masks would say nothing
    score = interactions.score(fresh, values_of(fresh))
    return Faithfulness(score.r2, score.low, score.high, score.n_masks)
