"""Planted circuits: the models are what they were built to be, and decoding recovers what was planted."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import choose, find_circuit

sys.path.insert(0, str(Path(__file__).parent))
import known
import plants

PLANTS = {"usual": plants.USUAL, **{f"random {seed}": plants.random_plant(seed) for seed in range(3)}}
BUDGET = 96


def game_of(plant, baseline="mean"):
    model = plants.build(plant)
    return cx.ComponentGame(model, plants.task(model), baseline=baseline)


@pytest.mark.some(4)
@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_every_mask_gives_what_was_planted(name, baseline):
    plant = PLANTS[name]
    game = game_of(plant, baseline)
    masks = np.array(list(product((False, True), repeat=game.n_players)))
    place = {head: i for i, head in enumerate(game.names)}
    expected = sum(value * masks[:, [place[head] for head in heads]].all(1) for heads, value in plant.ands().items())
    np.testing.assert_allclose(game(masks), expected, atol=1e-5)


@pytest.mark.some(2)
@pytest.mark.parametrize("name", PLANTS)
def test_the_exact_transform_names_what_was_planted(name):
    plant = PLANTS[name]
    truth = known.exact(game_of(plant))
    assert truth.nodes == plant.nodes()
    assert dict(truth.interactions) == plant.interactions()


@pytest.mark.some(4)
@pytest.mark.parametrize("name", PLANTS)
def test_auto_finds_every_planted_interaction_with_its_sign_and_replication_leaves_no_other(name):
    plant = PLANTS[name]
    game = game_of(plant)
    found = known.recovered(known.decoded(game, "auto", BUDGET))
    assert found.nodes >= plant.nodes()
    assert found.interactions.items() >= plant.interactions().items()
    left = known.replicated(game, found)
    assert left.nodes == plant.nodes()
    assert dict(left.interactions) == plant.interactions()


def test_attribution_patching_misses_the_backups_and_that_is_why_interactions_are_needed():
    """With both backups kept, removing either changes nothing, so their slope at the whole model is zero."""
    missed = plants.USUAL.nodes() - known.patched(game_of(plants.USUAL))
    assert {"L0H0", "L1H0"} <= missed


def test_what_find_circuit_reports_replicates_and_is_all_of_the_plant():
    model = plants.build(plants.USUAL)
    task = plants.task(model)
    found = find_circuit(
        model, task, budget=BUDGET, n_heldout=60, max_interactions=12, heldout=plants.heldout(model), progress=False
    )
    edges = {tuple(sorted(edge.components)): edge.effect for edge in found.circuit.interactions}
    wanted = plants.USUAL.interactions()
    assert set(edges) == set(wanted)
    assert all((effect > 0) == (wanted[heads] > 0) for heads, effect in edges.items())
    assert {node.name for node in found.circuit.nodes} == plants.USUAL.nodes()
    assert found.faithfulness.r2 > 0.9
    for edge in found.circuit.interactions:
        if edge.direction is not None:  # planted heads don't feed each other: they meet in the last MLP
            assert abs(edge.direction.share.value) < 1e-3


def test_the_chosen_circuit_wastes_no_head_on_a_backup():
    game = game_of(plants.USUAL)
    found = known.decoded(game, "auto", BUDGET)
    heads = {game.names[i] for i in choose(found, 7).members}
    assert len(heads & {"L0H0", "L1H0"}) == 1
    assert "L0H4" not in heads
    assert heads >= {"L0H1", "L1H1", "L0H2", "L0H3", "L1H2", "L1H3"}
