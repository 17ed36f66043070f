"""Games of the user's own: what they may give, what they get for it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.ablation import Store
from circuitspex.errors import NoGradientError, UserError
from circuitspex.games import FunctionGame, LensGame, as_game
from circuitspex.masks import sample_masks


class Counted:
    """Three pairs; says how often and with what it was played."""

    n_players = 6
    names = ("a", "b", "c", "d", "e", "f")

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, masks):
        self.seen.append(masks)
        x = masks.astype(float)
        return x[:, 0] * x[:, 1] - x[:, 2] * x[:, 3] + x[:, 4]


def test_any_callable_with_players_is_a_game():
    game = as_game(Counted())
    assert isinstance(game, LensGame)
    assert (game.n_players, game.names, game.n_samples) == (6, tuple("abcdef"), 1)
    masks = sample_masks(6, 20, seed=1)
    np.testing.assert_array_equal(game(masks), Counted()(masks))
    assert as_game(game) is game


def test_each_distinct_mask_is_played_once_and_as_booleans():
    inner = Counted()
    game = FunctionGame(inner, batch_size=3)
    masks = sample_masks(6, 10, seed=2)[[0, 1, 2, 3, 4, 0, 0, 3]]
    run = game.evaluate(masks)
    played = np.concatenate(inner.seen)
    assert played.dtype == bool
    assert len(played) == len(np.unique(masks, axis=0)) == game.n_run
    assert max(len(part) for part in inner.seen) <= 3
    np.testing.assert_array_equal(run.values, Counted()(masks))


def test_several_numbers_a_mask_are_samples_whose_mean_is_the_value():
    game = FunctionGame(lambda masks: masks[:, :1] + np.array([[0.0, 1.0, 5.0]]), n_players=2)
    run = game.evaluate(sample_masks(2, 9))
    assert run.per_prompt.shape == (9, 3)
    np.testing.assert_allclose(run.values, run.per_prompt.mean(1))
    assert game.n_samples == 3


def test_gradients_where_the_game_has_them():
    def slopes(masks):
        return np.tile([1.0, 2.0], (len(masks), 1))

    game = FunctionGame(lambda masks: masks @ np.array([1.0, 2.0]), n_players=2, gradients=slopes)
    np.testing.assert_array_equal(game.evaluate(sample_masks(2, 5), gradients=True).gradients, [[1.0, 2.0]] * 5)
    with pytest.raises(NoGradientError, match="gives no gradients"):
        FunctionGame(Counted()).evaluate(np.ones((1, 6), dtype=bool), gradients=True)


def test_a_store_goes_on_where_it_stopped(tmp_path):
    masks = sample_masks(6, 30, seed=4)
    inner = Counted()

    def dies(part):
        if len(inner.seen) == 2:
            raise KeyboardInterrupt
        return inner(part)

    where = tmp_path / "runs.sqlite"
    with pytest.raises(KeyboardInterrupt):
        FunctionGame(dies, 6, batch_size=5, store=where, identity="pairs, 1").evaluate(masks)
    again = FunctionGame(Counted(), batch_size=5, store=where, identity="pairs, 1")
    np.testing.assert_array_equal(again.evaluate(masks).values, Counted()(masks))
    assert again.n_stored == 0, "other names make another game"
    second = FunctionGame(dies, 6, batch_size=5, store=where, identity="pairs, 1")
    inner.seen = inner.seen[:1]
    with pytest.raises(KeyboardInterrupt):
        second.evaluate(masks)
    assert second.n_stored == 10
    third = FunctionGame(lambda part: Counted()(part), 6, batch_size=5, store=where, identity="pairs, 1")
    np.testing.assert_array_equal(third.evaluate(masks).values, Counted()(masks))
    assert third.n_stored == 15
    assert third.n_stored + third.n_run == len(np.unique(masks, axis=0))
    other = FunctionGame(lambda part: Counted()(part), 6, store=where, identity="pairs, 2")
    other.evaluate(masks)
    assert other.n_stored == 0


def test_several_numbers_a_mask_come_back_from_the_store(tmp_path):
    def play(masks):
        return masks @ np.arange(8.0).reshape(4, 2)

    masks = sample_masks(4, 8, seed=5)
    first = FunctionGame(play, 4, store=tmp_path / "s", identity="x").evaluate(masks)
    again = FunctionGame(play, 4, store=Store(tmp_path / "s"), identity="x")
    np.testing.assert_array_equal(again.evaluate(masks).per_prompt, first.per_prompt)
    assert again.n_run == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FunctionGame(lambda masks: masks), "must be callable with masks and have n_players"),
        (lambda: FunctionGame(lambda masks: masks, 0), "1 or more"),
        (lambda: as_game(3), "a game is a callable with masks"),
        (lambda: FunctionGame(Counted(), names=["a"] * 6), "6 different texts"),
        (lambda: FunctionGame(Counted(), batch_size=0), "at least 1"),
        (lambda: FunctionGame(Counted(), store="x.sqlite"), "needs an identity"),
    ],
)
def test_what_is_no_game_is_refused(make, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        make()


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda masks: np.full(len(masks), np.nan), "gave nan for a mask that keeps 3 of 3 players"),
        (lambda masks: [np.inf] * len(masks), "all numbers must be finite"),
        (lambda masks: np.zeros(7), r"must have shape \(1, 1\)|one number a mask"),
        (lambda masks: np.zeros((1, 2, 2)), "must give one number a mask"),
        (lambda masks: ["many"] * len(masks), "must give numbers"),
    ],
)
def test_what_is_no_number_is_refused(gives, said):
    with pytest.raises(UserError, match=said):
        FunctionGame(gives, 3)(np.ones((1, 3), dtype=bool))


def test_masks_of_another_width_and_gates_are_refused():
    game = FunctionGame(Counted())
    with pytest.raises(UserError, match="7 columns, but there are 6"):
        game(np.ones((2, 7), dtype=bool))
    with pytest.raises(UserError, match="gates between were given"):
        game.evaluate(np.full((1, 6), 0.5))
