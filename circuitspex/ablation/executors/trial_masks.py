"""The masks under which the fast way is tried."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from circuitspex.ablation.shapes import Gates
from circuitspex.ablation.sites import Site


def trial_gates(sites: Sequence[Site], n_players: int) -> Gates:
    """Three masks that take every path of an executor, ``[3, players + 1]``; the last column is ones.

    The first has gates on, off and between. In the second each is on or off, and an MLP layer is off where it is on in
    the first, so that each is left out for some rows and not for others. The third keeps everything.
    """
    random = torch.Generator().manual_seed(0)
    size = (n_players,)
    between = torch.where(torch.rand(size, generator=random) < 0.5, torch.rand(size, generator=random), 1)
    between = torch.where(torch.rand(size, generator=random) < 0.25, 0, between)
    binary = (torch.rand(size, generator=random) < 0.5).float()
    for site in sites:
        if site.kind == "mlp":
            players = [player for player, _ in site.members]
            binary[players] = (between[players] == 0).float()
    rows = torch.stack([between, binary, torch.ones(size)])
    return torch.cat([rows, torch.ones((3, 1))], dim=1)
