"""What masks share, on small cases whose plan is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from circuitspex import ComponentGame
from circuitspex.ablation.cost import PassCost
from circuitspex.ablation.plan import estimated_cost, group_plan
from circuitspex.components import parse_component

COMPONENTS = tuple(map(parse_component, ("L0H0", "L2M", "L1H1@3", "L3N0:8@-1")))
# One mask that touches nothing, and one for each component, alone.
ROWS = np.array([[1, 1, 1, 1], [0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]], dtype=float)


def plan(gates=ROWS, components=COMPONENTS, *, positions=True, gradients=False, n_prompts=2):
    return group_plan(
        gates, components, n_prompts=n_prompts, length=6, n_layers=4, gradients=gradients, positions=positions
    )


def test_a_mask_starts_at_the_first_layer_and_position_that_it_touches():
    found = plan()
    assert found.first_layer.tolist() == [3, 0, 2, 1, 3]  # a mask that touches nothing runs the last layer only
    assert found.first_position.tolist() == [5, 0, 0, 3, 5]
    both = plan(np.array([[1, 1, 0, 0.5]]))
    assert (both.first_layer.tolist(), both.first_position.tolist()) == ([1], [3])


def test_an_executor_that_starts_at_the_first_position_only():
    found = plan(positions=False)
    assert found.first_layer.tolist() == [3, 0, 2, 1, 3]
    assert found.first_position.tolist() == [0] * 5


def test_gradients_need_every_component_from_its_place_on():
    found = plan(gradients=True)
    assert found.first_layer.tolist() == [0] * 5
    assert found.first_position.tolist() == [0] * 5
    late = plan(ROWS[:, 2:], COMPONENTS[2:], gradients=True)
    assert late.first_layer.tolist() == [1] * 5
    assert late.first_position.tolist() == [3] * 5


def test_masks_that_share_most_come_first():
    assert plan().order.tolist() == [0, 4, 2, 3, 1]


def test_batches_hold_as_many_masks_as_rows_allow_and_start_where_the_first_of_them_does():
    batches = plan().batches(rows=4)
    assert [batch.masks.tolist() for batch in batches] == [[0, 4], [2, 3], [1]]
    assert [(batch.first_layer, batch.first_position) for batch in batches] == [(3, 5), (1, 0), (0, 0)]
    assert all(batch.prompts == (slice(0, 2),) for batch in batches)
    assert [len(batch.masks) for batch in plan().batches(rows=400)] == [5]
    assert [len(batch.masks) for batch in plan().batches(rows=400, most_masks=1)] == [1] * 5


def test_prompts_are_run_in_parts_where_one_mask_has_too_many_rows():
    batches = plan(n_prompts=5).batches(rows=2)
    assert [batch.masks.tolist() for batch in batches] == [[0], [4], [2], [3], [1]]
    assert batches[0].prompts == (slice(0, 2), slice(2, 4), slice(4, 5))


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("seed", range(4))
def test_every_mask_is_in_one_batch_and_none_starts_too_late(rows, seed):
    rng = np.random.default_rng(seed)
    gates = rng.choice([0.0, 0.5, 1.0, 1.0, 1.0], size=(17, 4))
    found = plan(gates, n_prompts=3)
    batches = found.batches(rows)
    assert sorted(np.concatenate([batch.masks for batch in batches]).tolist()) == list(range(17))
    for batch in batches:
        assert [p for part in batch.prompts for p in range(3)[part]] == [0, 1, 2]
        for row in gates[batch.masks]:
            for component, gate in zip(COMPONENTS, row, strict=True):
                position = 0 if component.position is None else component.position % 6
                assert gate == 1 or (batch.first_layer <= component.layer and batch.first_position <= position)


COST = PassCost(4, 10.0, 20.0, 1.0, 100.0, gradients=False, skips=False, mlp_players=())


def test_the_cost_counts_shared_layers_once_a_prompt():
    layer = 6 * (10 + 20 + 6 * 1)  # positions times attention, MLP and pairs with six keys
    found = plan(np.ones((3, 4)), positions=False)
    # Three masks that touch nothing: three layers once for each of two prompts, the last layer for every row.
    spent = 2 * 3 * layer + 3 * 2 * (layer + 6 * 100)
    expected = spent / (3 * 2 * (4 * layer + 6 * 100))
    assert estimated_cost([(found, found.batches(100))], np.ones((3, 4)), COST) == pytest.approx(expected)
    assert estimated_cost([], np.ones((0, 4)), COST) == 0


def test_ablated_mlps_and_unread_positions_are_left_out_of_the_cost():
    gates = np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    cost = dataclasses.replace(COST, skips=True, mlp_players=((1, 2),))
    assert cost.mlps_kept(gates).tolist() == [1, 1, 0.5, 1]
    whole = cost.layers(0, 4, 6, 0)
    # Half of the masks have no MLP of layer 2; in the last layer only one of six positions has one; one is unembedded.
    assert cost.ablated(0, 6, 0, cost.mlps_kept(gates)) == pytest.approx(whole - 6 * 20 * 0.5 - 5 * 20 + 100)


def test_a_game_runs_distinct_masks_once(tiny):
    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model), "mlps", "zero")
    masks = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 1, 0]], dtype=bool)
    found = game.plan(masks)
    assert (found.n_asked, found.n_masks) == (4, 2)
    assert "4 masks (2 repeated, not run again)" in found.explain()
    assert "  2 masks: the first layer once a prompt" in found.explain()
    assert "  1 masks: the first 2 layers once a prompt" in game.plan(masks[:1]).explain()
