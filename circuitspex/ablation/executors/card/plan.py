"""What one batch of masks can skip, decided on the host from its gates before the pass begins.

A plan holds no numbers that differ from mask to mask: two batches with equal plans run the same launches on the same
shapes, so that a recorded pass can be replayed with other gates. Which rows and blocks are on is found on the device,
in ``lists``, from the gates themselves; nothing is read back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitspex.ablation.executors.prepared import Prepared
from circuitspex.typing import FloatArray

Bools = np.ndarray[Any, np.dtype[np.bool_]]

# Along K a tile of rows belongs to one mask; with fewer rows under a mask than this, cuBLAS on gated inputs is faster.
LEAST_ROWS = 128
# Above this share of blocks kept, skipping the others saves less than a product of the whole gains in cuBLAS.
MOST_KEPT = 0.85
# Groups of fewer neurons than this are gated one by one.
LEAST_NEURONS = 64


@dataclass(frozen=True)
class CardPlan:
    """The sizes of a batch, and what is skipped.

    ``skip_heads`` and ``skip_neurons`` say whether blocks that are off are left out of products; ``rooms`` is, by
    layer, the number of masks for which an MLP is computed where it is gated as a whole; layers that are not in it
    compute it for all.
    """

    n_masks: int
    n_prompts: int
    first_layer: int
    first_position: int
    skip_heads: bool
    skip_neurons: bool
    rooms: tuple[tuple[int, int], ...]

    def skips_out(self, positions: int) -> bool:
        """Whether blocks that are off are also left out of products whose inputs they are, with so many positions."""
        return self.n_prompts * positions >= LEAST_ROWS

    def skips_groups_of(self, n_neurons: int) -> bool:
        """Whether groups of so many neurons that are off are left out of products."""
        return self.skip_neurons and n_neurons >= LEAST_NEURONS


def card_plan(
    given: Prepared,
    host: FloatArray,
    n_prompts: int,
    first_layer: int,
    first_position: int,
    *,
    recorded: bool = False,
) -> CardPlan:
    """Plan a batch.

    Args:
        given: what passes share.
        host: gates ``(masks, players + 1)``, the last column ones.
        n_prompts: prompts in this batch.
        first_layer: nothing before it is ablated.
        first_position: nothing before it is ablated.
        recorded: make room for the masks that compute an MLP by a bound that most batches share, so that their plans
            are equal; else for as many as there are.
    """
    on = np.append((host != 0).mean(axis=0), 1.0)  # of each player, the share of masks that keep it
    sites = {key: site for key, site in given.gates.items() if key[0] >= first_layer}
    kept = {
        kind: [float(on[site.host_index].mean()) for (_, each), site in sites.items() if each == kind]
        for kind in ("head", "neurons")
    }
    counts = {
        layer: round(float(on[site.host_index[0, 0]]) * len(host))
        for (layer, kind), site in sites.items()
        if kind == "mlp" and len(site.host_index) == 1 and (layer, "neurons") not in sites
    }
    bound = room_for(list(counts.values()), len(host)) if recorded and counts else 1
    rooms = {layer: max(bound, count) for layer, count in counts.items()}
    return CardPlan(
        len(host),
        n_prompts,
        first_layer,
        first_position,
        skip_heads=_worth(kept["head"]),
        skip_neurons=_worth(kept["neurons"]),
        rooms=tuple((layer, room) for layer, room in sorted(rooms.items()) if room <= MOST_KEPT * len(host)),
    )


def _worth(shares: list[float]) -> bool:
    """One choice for all layers, so that it does not change from batch to batch with single gates."""
    return bool(shares) and sum(shares) / len(shares) <= MOST_KEPT


def room_for(counts: Any, n_masks: int) -> int:
    """A number of masks that is enough for the MLP of every layer, and seldom different in the next batch.

    Args:
        counts: for each layer how many masks keep its MLP.
        n_masks: how many there are.
    """
    kept = float(np.mean(counts)) / n_masks
    bound = n_masks * kept + 3.5 * (n_masks * kept * (1 - kept)) ** 0.5
    step = max(1, n_masks // 16)
    return min(n_masks, step * -(-max(1, int(np.max(counts)), int(bound)) // step))
