"""Sampled masks: every component kept by its own coin."""

from __future__ import annotations

import numpy as np

from circuitspex.errors import UserError
from circuitspex.typing import Masks


def check_keep(keep: float) -> float:
    """``keep`` itself; UserError unless 0 < keep < 1 (at 0 and 1 every mask is the same)."""
    if not 0 < keep < 1:
        raise UserError(f"keep must lie between 0 and 1 and be neither (the share of components kept), not {keep}")
    return float(keep)


def sample_masks(n_players: int, n_masks: int, *, keep: float = 0.5, seed: int = 0) -> Masks:
    """Independent masks in which each component is kept with probability ``keep``.

    Args:
        n_players: the number of components, ``n``.
        n_masks: how many masks, ``K``.
        keep: the probability of being kept, strictly between 0 and 1.
        seed: the same seed gives the same masks, and a prefix of them for a smaller ``n_masks``.

    Returns:
        bool ``(K, n)``, True = kept.

    Raises:
        UserError: no players, no masks, or ``keep`` out of range.
    """
    check_keep(keep)
    if n_players < 1:
        raise UserError(f"there must be at least one component, not {n_players}")
    if n_masks < 1:
        raise UserError(f"the number of masks must be at least 1, not {n_masks}")
    return np.asarray(np.random.default_rng(seed).random((n_masks, n_players)) < keep)
