"""Thousands of players: explained from gradients in half precision; what is planted is found, and replicates."""

import numpy as np
import pytest

from circuitspex.circuits import explain
from circuitspex.games import FunctionGame
from circuitspex.half_precision import HalfMatrix

N = 3000
PAIRS = {(11, 700): 1.5, (12, 2900): -1.2, (1500, 1501): 1.0}


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    weights = 0.02 * rng.normal(size=N)
    members = sorted({i for pair in PAIRS for i in pair})
    weights[members] += 0.5

    def play(masks):
        values = masks @ weights + sum(c * masks[:, a] * masks[:, b] for (a, b), c in PAIRS.items())
        return values[:, None] + 0.01 * np.arange(3)

    def gradients(masks):
        slopes = np.tile(weights, (len(masks), 1))
        for (a, b), c in PAIRS.items():
            slopes[:, a] += c * masks[:, b]
            slopes[:, b] += c * masks[:, a]
        return slopes

    return explain(
        FunctionGame(play, N, gradients=gradients),
        budget=40,
        n_heldout=30,
        n_contexts=4,
        max_nodes=4,
        max_interactions=4,
        progress=False,
    )


@pytest.mark.long
def test_gradients_are_kept_in_half_precision(found):
    assert isinstance(found.run.gradients, HalfMatrix)
    assert found.run.gradients.shape == (40, N)


@pytest.mark.long
def test_the_planted_interactions_are_found_measured_and_replicate(found):
    assert found.faithfulness.r2 > 0.95
    edges = {edge.components: edge.effect for edge in found.circuit.interactions}
    for (a, b), effect in PAIRS.items():
        assert np.isclose(edges[f"p{a}", f"p{b}"], effect, atol=1e-6)


def test_every_player_has_its_main_effect(found):
    assert sum(len(term) == 1 for term in found.interactions.terms) == N
