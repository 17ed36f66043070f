"""Functions and games that workers import from here."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np


def kept_share(mask: Any, seed: int) -> float:
    """A training that takes a moment."""
    time.sleep(0.02)
    return float(mask.mean()) + seed


class Deadly:
    """A training that ends its process where the first player is left out."""

    def __call__(self, mask: Any) -> float:
        if not mask[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(mask.sum())


class MaskSum:
    """A game with an interaction."""

    n_players = 6

    def __call__(self, masks: Any) -> Any:
        return masks.sum(1) + 2.0 * (masks[:, 0] & masks[:, 1]) + np.zeros(len(masks))
