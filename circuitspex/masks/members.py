"""From sets of components to the masks that keep just them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from circuitspex.typing import Masks


def masks_keeping(sets: Sequence[Iterable[int]], n_players: int) -> Masks:
    """The masks ``(len(sets), n)`` that keep the components of each set, given by their indices, and no others."""
    masks = np.zeros((len(sets), n_players), dtype=np.bool_)
    for row, members in zip(masks, sets, strict=True):
        row[list(members)] = True
    return masks


def unseen(masks: Masks, seen: Masks) -> Masks:
    """The distinct masks that are not among those seen; matters where there are few components."""
    known = {row.tobytes() for row in seen}
    fresh = [row for row in dict.fromkeys(row.tobytes() for row in masks) if row not in known]
    return np.array([np.frombuffer(row, dtype=bool) for row in fresh]).reshape(len(fresh), masks.shape[1])
