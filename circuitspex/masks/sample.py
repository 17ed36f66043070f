"""Sampled masks: every component kept by its own coin; the coins of one mask can have a share of their own."""

from __future__ import annotations

from typing import Any, overload

import numpy as np

from circuitspex.errors import UserError
from circuitspex.scale import check_seed, whole
from circuitspex.typing import Masks

MOST_ENTRIES = 2**32
"""Of masks times components: their coins alone fill 32 GB."""
Keep = float | tuple[float, float]
"""The share of components kept: one for all masks, or ``(low, high)`` where each mask draws its own in between."""


@overload
def check_keep(keep: float) -> float: ...
@overload
def check_keep(keep: Keep) -> Keep: ...
def check_keep(keep: Any) -> Keep:
    """``keep`` as a float, or as a pair of them.

    Raises:
        UserError: unless 0 < keep < 1 (at 0 and 1 every mask is the same), or 0 < low < high < 1 for a pair.
    """
    if isinstance(keep, (tuple, list)):
        ends = [_number(end) for end in keep]
        if len(ends) != 2 or not 0 < ends[0] < ends[1] < 1:
            raise UserError(f"keep must be two shares (low, high) with 0 < low < high < 1, not {tuple(keep)}")
        return ends[0], ends[1]
    number = _number(keep)
    if not 0 < number < 1:
        raise UserError(f"keep must lie between 0 and 1 and be neither (the share of components kept), not {keep}")
    return number


def check_entries(n_players: int, n_masks: int) -> None:
    """Nothing if so many masks are not too many.

    Raises:
        UserError: they are.
    """
    if n_players * n_masks > MOST_ENTRIES:
        raise UserError(f"{n_masks:,} masks of {n_players:,} components are too many; at most {MOST_ENTRIES:,} entries")


def mean_keep(keep: Keep) -> float:
    """The probability with which a mask keeps a component: ``keep`` itself, or the middle of the two."""
    return sum(keep) / 2 if isinstance(keep, tuple) else keep


def sample_masks(n_players: int, n_masks: int, *, keep: Keep = 0.5, seed: int = 0) -> Masks:
    """Independent masks in which each component is kept with probability ``keep``.

    Args:
        n_players: the number of components, ``n``.
        n_masks: how many masks, ``K``.
        keep: the probability of being kept, strictly between 0 and 1. With ``(low, high)`` each mask draws its own,
            uniformly between the two; the components are then independent given the mask's share only.
        seed: the same seed gives the same masks, and a prefix of them for a smaller ``n_masks``.

    Returns:
        bool ``(K, n)``, True = kept.

    Raises:
        UserError: no components, no masks, or ``keep`` out of range.
    """
    keep = check_keep(keep)
    n_players, n_masks = whole(n_players, "the number of components", 1), whole(n_masks, "the number of masks", 1)
    seed = check_seed(seed)
    check_entries(n_players, n_masks)
    coins = np.random.default_rng(seed).random((n_masks, n_players))
    if isinstance(keep, float):
        return np.asarray(coins < keep)
    # The shares have a stream of their own, so that masks stay a prefix of more masks.
    shares = np.random.default_rng([seed, 1]).uniform(*keep, size=(n_masks, 1))
    return np.asarray(coins < shares)


def _number(value: Any) -> float:
    if isinstance(value, str):
        raise UserError(f"keep must be a share such as 0.5, or two (low, high), not {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"keep must be a share such as 0.5, or two (low, high), not {value!r}") from None


def every_mask(n_players: int, *, seed: int = 0) -> Masks:
    """All ``2^n`` masks of a few components, bool ``(2^n, n)``, in an order that the seed gives.

    Raises:
        UserError: more than 20 components, of which there are too many masks.
    """
    n_players = whole(n_players, "the number of components")
    if not 1 <= n_players <= 20:
        raise UserError(f"every mask can be listed for 1 to 20 components, not {n_players}")
    seed = check_seed(seed)
    codes = np.random.default_rng(seed).permutation(2**n_players)
    return np.asarray(codes[:, None] >> np.arange(n_players) & 1, dtype=bool)
