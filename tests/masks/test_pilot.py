"""The pilot picks a share at which a known game is alive, varies and can be explained, and says why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from circuitspex.errors import UserError
from circuitspex.masks import Pilot, pilot, sample_masks
from circuitspex.masks._pilot import MAIN_EFFECTS, SHARES, explained_by_pairs, main_effects_share

N = 40


class Known:
    """A game from a function of floats ``(K, n)``, with gradients by differences (exact if multilinear)."""

    n_players = N

    def __init__(self, function: Any) -> None:
        self.function = function
        self.n_run = 0

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        self.n_run += len(masks)
        return self.function(masks.astype(float))

    def evaluate(self, masks: np.ndarray, *, gradients: bool = False) -> SimpleNamespace:
        x = masks.astype(float)
        slopes = np.zeros(x.shape)
        for i in range(N):
            on, off = x.copy(), x.copy()
            on[:, i], off[:, i] = 1, 0
            slopes[:, i] = self.function(on) - self.function(off)
        return SimpleNamespace(values=self(masks), gradients=slopes)


def additive(x: np.ndarray) -> np.ndarray:
    return 3 + x[:, :10].sum(1)


def fragile(x: np.ndarray) -> np.ndarray:
    """Dead unless all of six are there: alive 0.8^6 = 26 % of the time at 0.8, 0.7^6 = 12 % at 0.7."""
    return x[:, :6].prod(1)


def redundant(x: np.ndarray) -> np.ndarray:
    """Gone only when all of the first three are."""
    return 1 - (1 - x[:, :3]).prod(1)


def test_an_additive_game_takes_the_smallest_share() -> None:
    game = Known(additive)
    chosen = pilot(game, gradients=True)
    assert chosen.keep == 0.3
    assert [row.verdict for row in chosen.rows] == ["usable"]
    assert chosen.rows[0].mean == pytest.approx(0.3, abs=0.1)
    assert chosen.rows[0].spread == pytest.approx(np.sqrt(0.3 * 0.7 / 10), rel=0.4)
    assert chosen.rows[0].explained == pytest.approx(1)
    assert (chosen.empty, chosen.full) == (3, 13)
    assert "smallest share tried" in chosen.reason


def test_a_fragile_game_needs_most_components() -> None:
    chosen = pilot(Known(fragile), n_masks=200)
    assert [row.verdict for row in chosen.rows] == ["dead", "dead", "dead", "usable"]
    assert chosen.keep == 0.8


def test_a_redundant_game_needs_much_ablation() -> None:
    chosen = pilot(Known(redundant), shares=(0.5, 0.9), n_masks=400)
    assert chosen.keep == 0.5
    flat = pilot(Known(redundant), shares=(0.9, 0.95), n_masks=5000)
    assert {row.verdict for row in flat.rows} == {"hardly varies"}
    assert flat.keep == 0.9
    assert "varies most" in flat.reason


def test_interactions_of_high_order_are_not_explained_by_pairs() -> None:
    def parity(x: np.ndarray) -> np.ndarray:
        return 1 + (1 - 2 * x[:, :5]).prod(1)  # empty 2, full 0

    rows = pilot(Known(parity), gradients=True, n_masks=60).rows
    assert len(rows) > 1
    assert rows[1].verdict == "not explained by pairs"
    assert pilot(Known(parity), n_masks=60).rows[-1].explained is None


def test_it_stops_at_the_first_usable_share_and_counts_what_it_ran() -> None:
    for game, n_shares in ((Known(additive), 1), (Known(lambda x: np.ones(len(x))), len(SHARES))):
        chosen = pilot(game, n_masks=20)
        assert len(chosen.rows) == n_shares
        assert chosen.n_ablations == game.n_run == 2 + 20 * n_shares


def test_the_masks_are_those_of_sample_masks() -> None:
    seen = []

    def watched(x: np.ndarray) -> np.ndarray:
        seen.append(x.astype(bool))
        return additive(x)

    pilot(Known(watched), seed=9)
    np.testing.assert_array_equal(seen[1], sample_masks(N, 24, keep=0.3, seed=9))


def test_nothing_varies_or_the_ends_coincide() -> None:
    constant = pilot(Known(lambda x: np.full(len(x), 4.0)))
    assert constant.keep == 0.5
    assert "does not vary" in constant.reason
    same_ends = pilot(Known(lambda x: x[:, 0] * (1 - x[:, 1])), n_masks=100)
    assert same_ends.keep in (0.5, 0.7)  # the variance p(1 - p) of the product is largest near 0.5
    assert "nothing ablated" in same_ends.reason
    assert same_ends.rows[0].mean is None
    dead = pilot(Known(fragile), shares=(0.3, 0.5), n_masks=100)
    assert "no share tried leaves 25%" in dead.reason


def test_a_negative_effect_is_as_good_as_a_positive_one() -> None:
    up, down = pilot(Known(additive)), pilot(Known(lambda x: -additive(x)))
    assert up.keep == down.keep
    assert up.rows[0].mean == pytest.approx(down.rows[0].mean)
    assert down.rows[0].spread > 0


def test_it_prints_itself() -> None:
    shown = repr(pilot(Known(fragile), gradients=True))
    lines = shown.splitlines()
    assert lines[0].split() == ["keep", "mean", "spread", "explained", "main", "effects", "verdict"]
    assert lines[-1].startswith("keep 0.")
    assert "dead" in shown
    assert isinstance(pilot(Known(additive)), Pilot)
    assert " - " in repr(pilot(Known(additive)))


def test_the_trapezoid_rule_is_exact_for_pairs_and_only_for_them() -> None:
    masks = sample_masks(N, 30, seed=2)
    weights = np.random.default_rng(0).normal(size=(N, N))

    def run(function: Any) -> float:
        result = Known(function).evaluate(masks, gradients=True)
        return explained_by_pairs(masks, result.values, result.gradients)

    assert run(lambda x: np.einsum("ki,ij,kj->k", x, np.triu(weights, 1), x)) == pytest.approx(1)
    assert run(lambda x: x[:, :3].prod(1) + 0.2 * x[:, 3]) < 0.99
    assert explained_by_pairs(masks, np.ones(30), np.zeros((30, N))) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": ()}, "at least one share"),
        ({"shares": (0.5, 1.0)}, "keep must lie between 0 and 1"),
        ({"shares": ((0.2, 0.5),)}, "single shares"),
        ({"n_masks": 1}, "n_masks must be at least 2"),
    ],
)
def test_wrong_calls_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        pilot(Known(additive), **options)
    assert "\n" not in str(error.value)


def test_games_that_cannot_give_what_is_asked_are_refused() -> None:
    class Plain:
        n_players = N

        def __call__(self, masks: np.ndarray) -> np.ndarray:
            return additive(masks.astype(float))

    with pytest.raises(UserError, match="use gradients=False"):
        pilot(Plain(), gradients=True)
    assert pilot(Plain()).keep == 0.3
    with pytest.raises(UserError, match="values must be finite"):
        pilot(Known(lambda x: np.full(len(x), np.nan)))


class Wide:
    """Some of the components have main effects, and pairs of them effects where both are ablated; exact gradients."""

    def __init__(self, n: int, pairs: float, seed: int = 0, active: int | None = None) -> None:
        rng = np.random.default_rng(seed)
        self.n_players = n
        active = active or n
        self.weights = np.where(np.arange(n) < active, 1 + rng.random(n), 0) / active
        self.first, self.second = rng.permutation(active)[: active // 2 * 2].reshape(2, -1)
        self.signs = pairs * rng.choice([-1.0, 1.0], active // 2) / active

    def evaluate(self, masks: np.ndarray, *, gradients: bool = False) -> SimpleNamespace:
        gone = 1.0 - masks
        products = gone[:, self.first] * gone[:, self.second]
        slopes = np.tile(self.weights, (len(masks), 1))
        slopes[:, self.first] -= self.signs * gone[:, self.second]
        slopes[:, self.second] -= self.signs * gone[:, self.first]
        return SimpleNamespace(values=masks @ self.weights + products @ self.signs, gradients=slopes)

    def share_of_main_effects(self, keep: float) -> float:
        main = self.weights.copy()
        main[self.first] -= self.signs * (1 - keep)
        main[self.second] -= self.signs * (1 - keep)
        linear = keep * (1 - keep) * float((main**2).sum())
        return linear / (linear + (keep * (1 - keep)) ** 2 * float((self.signs**2).sum()))


@pytest.mark.parametrize("keep", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("pairs", [0.0, 1.0, 10.0])
def test_the_share_of_main_effects_is_the_true_one_on_average(keep: float, pairs: float) -> None:
    game = Wide(200, pairs)
    found = []
    for seed in range(200):
        masks = sample_masks(200, 24, keep=keep, seed=seed)
        run = game.evaluate(masks)
        found.append(main_effects_share(masks, run.values, run.gradients))
    wanted = game.share_of_main_effects(keep)
    # A ratio of two estimates from 24 masks is a few hundredths off; the mean of 200 has an error of about .01.
    assert np.mean(found) == pytest.approx(wanted, abs=0.06)
    assert max(found) <= 1


def test_among_thousands_of_components_main_effects_have_to_explain() -> None:
    game = Wide(3000, 4.0, active=40)
    true = {keep: game.share_of_main_effects(keep) for keep in (0.7, 0.95)}
    assert true[0.7] < MAIN_EFFECTS - 0.07
    assert true[0.95] > MAIN_EFFECTS + 0.05
    chosen = pilot(game, gradients=True, shares=(0.7, 0.95), n_masks=60)
    assert [row.verdict for row in chosen.rows] == ["main effects explain too little", "usable"]
    for row in chosen.rows:
        assert row.main_effects == pytest.approx(true[row.keep], abs=0.2)  # of one draw of 60 masks
    assert chosen.keep == 0.95
    assert "by main effects" in chosen.reason
    assert {row.spread < 0.1 for row in chosen.rows} == {True}, "spread that among few components is too little"


def test_where_main_effects_never_explain_enough_the_best_share_is_taken() -> None:
    chosen = pilot(Wide(3000, 40.0, active=40), gradients=True, shares=(0.5, 0.7, 0.9))
    alive = [row for row in chosen.rows if row.alive] or list(chosen.rows)
    assert chosen.rows[-1].verdict != "usable"
    assert chosen.keep == max(alive, key=lambda row: row.main_effects or 0).keep
