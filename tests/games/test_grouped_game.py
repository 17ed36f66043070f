"""Groups of players are kept and ablated together, in any game."""

import numpy as np
import pytest
import torch

from circuitspex.circuits import explain
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame, FunctionGame, GroupedGame
from circuitspex.half_precision import HalfMatrix


def quadratic(n, seed=0):
    """A game with gradients: main effects and pairs."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), np.triu(rng.normal(size=(n, n)), 1)
    return FunctionGame(
        lambda m: m @ a + np.einsum("ki,ij,kj->k", m.astype(float), b, m.astype(float)),
        n,
        gradients=lambda m: a + m @ (b + b.T),
    )


GROUPS = [(3, 0), (1,), (5, 6, 2)]


def test_a_group_is_kept_or_ablated_as_a_whole():
    game = quadratic(8)
    grouped = GroupedGame(game, GROUPS)
    masks = np.random.default_rng(1).random((30, 3)) < 0.5
    whole = np.ones((30, 8), dtype=bool)
    for column, group in enumerate(GROUPS):
        whole[:, list(group)] = masks[:, [column]]
    run, expected = grouped.evaluate(masks, gradients=True), game.evaluate(whole, gradients=True)
    np.testing.assert_array_equal(run.values, expected.values)
    for column, group in enumerate(GROUPS):
        np.testing.assert_allclose(run.gradients[:, column], expected.gradients[:, list(group)].sum(1), rtol=1e-12)
    assert grouped.names == ("p3+p0", "p1", "p5+p6+p2")
    assert grouped.n_run == 8


def test_groups_of_a_model_have_its_gradients_by_finite_differences(tiny, request):
    model = tiny.bridge("llama", torch.float64)
    request.getfixturevalue("exact")  # after the model has been made
    game = GroupedGame(ComponentGame(model, tiny.task(model), "heads+mlps"), [(0, 12), (5, 6, 13)], ["a", "b"])
    gates = np.array([[0.4, 0.7]])
    slope = game.evaluate(gates, gradients=True).gradients[0]
    for column in range(2):
        step = np.zeros((1, 2))
        step[0, column] = 1e-5
        two = game.evaluate(np.concatenate([gates - step, gates + step])).values
        assert np.isclose((two[1] - two[0]) / 2e-5, slope[column], rtol=1e-5, atol=1e-8)


def test_what_the_store_has_of_the_players_serves_the_groups(tiny, tmp_path):
    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model), "heads", store=tmp_path / "s.sqlite")
    masks = np.random.default_rng(0).random((5, 3)) < 0.5
    groups = [(0, 1), (4, 5), (8,)]
    first = GroupedGame(game, groups)
    values = first.evaluate(masks, gradients=True)
    again = GroupedGame(ComponentGame(model, tiny.task(model), "heads", store=tmp_path / "s.sqlite"), groups)
    seen = again.evaluate(masks, gradients=True)
    assert again.n_run == 0
    assert again.n_stored == first.n_run == len(np.unique(masks, axis=0))
    np.testing.assert_array_equal(values.values, seen.values)
    np.testing.assert_array_equal(values.gradients, seen.gradients)


def test_any_game_in_groups_is_explained():
    found = explain(GroupedGame(quadratic(8), GROUPS), budget=8, n_heldout=2, max_interactions=2)
    assert {node.name for node in found.circuit.nodes} == {"p3+p0", "p1", "p5+p6+p2"}
    assert found.circuit.run["lens"] == "groups"


def test_the_players_of_a_large_game_in_half_precision():
    game = quadratic(3000)
    groups = [tuple(range(start, start + 100)) for start in range(0, 3000, 100)]
    masks = np.random.default_rng(2).random((4, 30)) < 0.5
    slopes = GroupedGame(game, groups).evaluate(masks, gradients=True).gradients
    wide = np.repeat(masks, 100, axis=1)
    single = game.evaluate(wide, gradients=True).gradients
    assert isinstance(single, HalfMatrix)
    assert isinstance(slopes, np.ndarray)
    np.testing.assert_allclose(slopes, np.asarray(single, dtype=float).reshape(4, 30, 100).sum(2), rtol=1e-6)


@pytest.mark.parametrize(
    ("groups", "names", "said"),
    [
        ([], None, "one or more"),
        ([(0,), ()], None, "at least one player each"),
        ([(0, 8)], None, "there is no player 8"),
        ([(0, 1), (1, 2)], None, "player 1 is in two groups"),
        ([(0,), (1,)], ["a", "a"], "2 different texts"),
    ],
)
def test_wrong_groups_are_refused(groups, names, said):
    with pytest.raises(UserError, match=said):
        GroupedGame(quadratic(8), groups, names)
