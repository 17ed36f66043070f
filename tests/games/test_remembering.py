"""A game that remembers: each mask is run once, whoever asks, and what comes back is what the game itself gives."""

from __future__ import annotations

import numpy as np
import pytest

from circuitspex.errors import NoGradientError, UserError
from circuitspex.games import FunctionGame, GroupedGame, RememberingGame
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.masks import sample_masks

N = 7
WEIGHTS = np.random.default_rng(0).normal(size=N)


class Counted:
    """A game of three prompts that keeps every mask it is asked for."""

    n_players = N

    def __init__(self, gradients: bool = True) -> None:
        self.asked: list[bytes] = []
        self.asked_gradients: list[bytes] = []
        self.has_gradients = gradients

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        self.asked += [row.tobytes() for row in masks]
        return (masks @ WEIGHTS + masks[:, 0] * masks[:, 1])[:, None] + np.arange(3.0)

    def slopes(self, masks: np.ndarray) -> np.ndarray:
        self.asked_gradients += [row.tobytes() for row in masks]
        out = np.tile(WEIGHTS, (len(masks), 1))
        out[:, 0] += masks[:, 1]
        out[:, 1] += masks[:, 0]
        return out

    def game(self, **options: object) -> FunctionGame:
        return FunctionGame(self, gradients=self.slopes if self.has_gradients else None, **options)


def test_it_gives_what_the_game_gives_for_any_order_of_requests() -> None:
    rng = np.random.default_rng(1)
    plain, asked = Counted().game(), RememberingGame(Counted().game(), progress=False)
    pool = sample_masks(N, 30, seed=2)
    for step in range(20):
        masks = pool[rng.integers(len(pool), size=rng.integers(1, 12))]
        gradients = bool(step % 3 == 0)
        expected, found = plain.evaluate(masks, gradients=gradients), asked.evaluate(masks, gradients=gradients)
        np.testing.assert_array_equal(found.masks, masks)
        np.testing.assert_array_equal(found.per_prompt, expected.per_prompt)
        np.testing.assert_array_equal(found.values, expected.values)
        if gradients:
            np.testing.assert_array_equal(found.gradients, expected.gradients)
        else:
            assert found.gradients is None


def test_a_mask_is_run_once_and_once_more_for_its_gradient() -> None:
    counted = Counted()
    asked = RememberingGame(counted.game(), progress=False)
    masks = sample_masks(N, 10, seed=0)
    asked.evaluate(masks[:6], stage="one")
    asked.evaluate(np.concatenate([masks, masks]), stage="two")
    assert len(counted.asked) == len(set(counted.asked)) == len(asked)
    asked.evaluate(masks[:4], gradients=True, stage="three")
    asked.evaluate(masks[:4], gradients=True, stage="three")
    asked.evaluate(masks, stage="three")
    assert len(counted.asked_gradients) == len(set(counted.asked_gradients)) == len({m.tobytes() for m in masks[:4]})
    distinct = len({m.tobytes() for m in masks})
    first = len({m.tobytes() for m in masks[:6]})
    assert (asked.counts["one"].asked, asked.counts["one"].run) == (first, first)
    assert (asked.counts["two"].asked, asked.counts["two"].run) == (distinct, distinct - first)
    assert asked.counts["three"].asked == distinct
    assert asked.counts["three"].run == asked.counts["three"].with_gradients == len({m.tobytes() for m in masks[:4]})


def test_what_was_run_with_a_gradient_serves_plain_requests() -> None:
    counted = Counted()
    asked = RememberingGame(counted.game(), progress=False)
    masks = sample_masks(N, 8, seed=3)
    asked.evaluate(masks, gradients=True)
    before = len(counted.asked)
    asked.evaluate(masks)
    asked(masks[::-1])
    assert len(counted.asked) == before


def test_gates_of_0_and_1_are_masks_and_others_are_told_apart(tiny) -> None:
    from circuitspex.games import ComponentGame

    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model), "heads")
    asked = RememberingGame(game, progress=False)
    ones = np.ones((1, game.n_players))
    asked.evaluate(ones.astype(bool))
    run = game.n_run
    asked.evaluate(ones)
    assert game.n_run == run
    low, high = asked.evaluate(np.concatenate([0.25 * ones, 0.75 * ones])).values
    assert game.n_run == run + 2
    assert low != high
    assert asked.evaluate(0.25 * ones).values[0] == low
    assert game.n_run == run + 2


def test_gradients_where_the_game_has_them() -> None:
    masks = sample_masks(N, 5, seed=0)
    assert RememberingGame(Counted().game(), progress=False).evaluate(masks, gradients=None).gradients is not None
    without = RememberingGame(Counted(gradients=False).game(), progress=False)
    assert without.evaluate(masks, gradients=None).gradients is None
    np.testing.assert_array_equal(without.evaluate(masks).values, Counted()(masks).mean(1))
    with pytest.raises(NoGradientError):
        without.evaluate(masks, gradients=True)


def test_many_players_stay_in_half_precision() -> None:
    n = HALF_FROM + 1
    weights = np.random.default_rng(0).normal(size=n)
    game = FunctionGame(lambda masks: masks @ weights, n, gradients=lambda masks: np.tile(weights, (len(masks), 1)))
    asked = RememberingGame(game, progress=False)
    masks = sample_masks(n, 6, seed=0)
    first = asked.evaluate(masks[:4], gradients=True)
    whole = asked.evaluate(masks[[5, 0, 3, 4]], gradients=True)
    assert isinstance(whole.gradients, HalfMatrix)
    np.testing.assert_array_equal(whole.gradients[1], first.gradients[0])
    np.testing.assert_allclose(np.asarray(whole.gradients), np.tile(weights, (4, 1)), rtol=2**-10, atol=2**-20)


def test_groups_are_remembered_too() -> None:
    counted = Counted()
    grouped = GroupedGame(counted.game(), [(0, 1), (2, 3, 4), (5, 6)])
    asked = RememberingGame(grouped, progress=False)
    masks = np.array([[True, False, True], [False, False, True], [True, False, True]])
    run = asked.evaluate(masks, gradients=True)
    asked.evaluate(masks)
    assert len(counted.asked) == 2
    np.testing.assert_array_equal(run.values, grouped.evaluate(masks).values)


def test_nothing_asked_is_nothing_run() -> None:
    asked = RememberingGame(Counted().game(), progress=False)
    run = asked.evaluate(np.zeros((0, N), dtype=bool), gradients=True)
    assert run.per_prompt.shape[0] == 0
    assert run.gradients is not None
    assert run.gradients.shape == (0, N)


def test_a_game_that_changes_its_mind_is_refused() -> None:
    sizes = iter([2, 3])

    def play(masks: np.ndarray) -> np.ndarray:
        return np.ones((len(masks), next(sizes)))

    asked = RememberingGame(FunctionGame(play, 3), progress=False)
    asked.evaluate(np.ones((1, 3), dtype=bool))
    with pytest.raises(UserError, match="gave 3 numbers a mask, and 2 before"):
        asked.evaluate(np.zeros((1, 3), dtype=bool))
