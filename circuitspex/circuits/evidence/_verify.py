"""Does the circuit do the task by itself? Checked on prompts that played no part in finding it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

import numpy as np

from circuitspex.circuits.circuit import Verification
from circuitspex.circuits.evidence._measure import PerPromptGame
from circuitspex.circuits.evidence.curve import share_of
from circuitspex.games import per_prompt_of
from circuitspex.scale import MOST, check_seed, whole
from circuitspex.statistics import mean_and_range, over_prompts
from circuitspex.typing import Masks


def verify(
    evaluate: PerPromptGame, n_players: int, circuit: Sequence[int], *, n_random: int = 20, seed: int = 0
) -> Verification:
    """Keep only the circuit; remove only the circuit; and the same for random circuits of its size.

    Args:
        evaluate: masks ``(K, n)`` in, the metric of each held-out prompt ``(K, P)`` out; or a game.
        n_players: how many components there are.
        circuit: the indices of the circuit's components.
        n_random: how many random circuits of the same size.
        seed: draws them.
    """
    n_random = whole(n_random, "n_random", 1, MOST)
    members = list(circuit)
    rng = np.random.default_rng(check_seed(seed))
    kept = np.zeros((1 + n_random, n_players), dtype=bool)
    kept[0, members] = True
    for row in range(1, 1 + n_random):
        kept[row, rng.choice(n_players, len(members), replace=False)] = True
    ends = np.array([np.ones(n_players, dtype=bool), np.zeros(n_players, dtype=bool)])
    masks: Masks = np.concatenate([ends, kept, ~kept])
    results = per_prompt_of(evaluate)(masks)
    full, empty = results[0].mean(), results[1].mean()
    with_circuit, without = results[2 : 3 + n_random], results[3 + n_random :]
    shares = [share_of(each[0], results[0], results[1]) for each in (with_circuit, without)]
    bounded = [share if share is not None and isfinite(share.low) else None for share in shares]
    return Verification(
        n_prompts=results.shape[1],
        n_components=len(members),
        n_random=n_random,
        full=float(full),
        empty=float(empty),
        circuit_kept=over_prompts(with_circuit[0], one_prompt=0.0),
        circuit_removed=over_prompts(without[0], one_prompt=0.0),
        random_kept=mean_and_range(with_circuit[1:].mean(1)),
        random_removed=mean_and_range(without[1:].mean(1)),
        share_kept=bounded[0],
        share_left=bounded[1],
    )
