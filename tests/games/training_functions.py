"""Training functions that other processes can find."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def additive(mask):
    """Player i is worth i, and the first two are worth 5 more together."""
    return float(mask @ np.arange(len(mask)) + 5 * mask[0] * mask[1])


def with_seed(mask, seed):
    return [additive(mask) + seed, additive(mask) - seed]


def moody(folder, mask):
    """Without player 0 it raises; without player 1 it gives NaN the first time; without player 2 always."""
    if not mask[0]:
        raise ValueError("the disk is on fire")
    if not mask[2]:
        return float("nan")
    if not mask[1]:
        mark = Path(folder) / "tried"
        if not mark.exists():
            mark.touch()
            return np.nan
    with open(Path(folder) / "runs", "a") as file:
        file.write("x")
    return additive(mask)


def deadly(mask):
    if not mask[0]:
        os._exit(3)
    return additive(mask)


def threads(mask):
    """How many threads libraries would use in this process."""
    import threadpoolctl
    import torch

    return [float(torch.get_num_threads()), float(max(info["num_threads"] for info in threadpoolctl.threadpool_info()))]
