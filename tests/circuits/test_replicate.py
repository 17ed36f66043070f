"""Measured until known well enough, and corrected for how many were tested."""

from __future__ import annotations

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits.evidence._replicate import Measured, replicate
from circuitspex.errors import UserError
from circuitspex.masks import sample_masks


class Game:
    """Five components; 0 and 1 back each other up, 2 and 3 do nothing together, prompts differ a little."""

    def __init__(self, noise=0.0):
        self.count, self.noise = 0, noise

    def __call__(self, masks):
        self.count += len(masks)
        m = masks.astype(float)
        values = np.maximum(m[:, 0], m[:, 1]) + 0.5 * m[:, 2] + self.noise * m[:, 4] * (m[:, 2] - 0.5) * 3
        return values[:, None] * np.array([[0.9, 1.0, 1.1]])


def test_differences_tables_and_prompts_are_those_of_the_game():
    found = replicate(Game(), [(0,), (1,), (0, 1), (2, 3)], sample_masks(5, 8, seed=0))
    pair = found[0, 1]
    assert pair.estimate().value == pytest.approx(-1.0)
    assert pair.per_prompt == pytest.approx((-0.9, -1.0, -1.1))
    assert pair.n_contexts == 8
    base = np.mean([0.5 * row[2] for row in sample_masks(5, 8, seed=0)])
    table = {row.kept: row.value for row in pair.table}
    assert table[False, False] == pytest.approx(base)
    for kept in ((True, False), (False, True), (True, True)):
        assert table[kept] == pytest.approx(base + 1)
    assert found[2, 3].estimate().value == pytest.approx(0)


def test_the_table_gives_the_effect():
    rng = np.random.default_rng(4)
    weights = rng.normal(size=32)

    def game(masks):
        return weights[masks @ (1 << np.arange(5))][:, None] * np.ones((1, 2))

    found = replicate(game, [(0, 2), (1, 3, 4)], sample_masks(5, 10, seed=1))
    for measured in found.values():
        total = sum((-1) ** (len(row.kept) - sum(row.kept)) * row.value for row in measured.table)
        assert total == pytest.approx(measured.estimate().value)


def test_only_wide_intervals_get_more_contexts():
    contexts = sample_masks(5, 64, seed=0)
    found = replicate(Game(noise=1.0), [(0,), (0, 1), (2,)], contexts, start=4, precision=0.05)
    assert found[2,].n_contexts == 64  # what it does depends on component 4
    assert found[0, 1].n_contexts == 4
    every = replicate(Game(noise=1.0), [(2,)], contexts)
    np.testing.assert_allclose(found[2,].differences, every[2,].differences)


def test_p_values_are_uniform_where_there_is_nothing_and_small_where_there_is():
    rng = np.random.default_rng(7)
    nothing = [Measured((0,), rng.normal(size=(12, 1)), ()).p_value() for _ in range(400)]
    assert 0.02 <= np.mean(np.array(nothing) < 0.05) <= 0.09
    something = Measured((0,), 1 + 0.1 * rng.normal(size=(12, 1)), ())
    assert something.p_value() < 1e-6
    assert something.p_value(least=0.5) < 1e-4
    assert something.p_value(least=2.0) > 0.99
    assert something.p_value(sign=1) < 1e-6
    assert something.p_value(sign=-1) > 0.99


def test_a_constant_difference_is_certain():
    measured = Measured((0,), np.full((4, 3), 2.0), ())
    assert measured.p_value() == 0
    assert measured.p_value(least=3) == 1


@pytest.mark.parametrize("start", [1, 9])
def test_a_wrong_start_is_one_line(start):
    with pytest.raises(UserError, match="measuring starts with 2 to 8 contexts"):
        replicate(Game(), [(0,)], sample_masks(5, 8, seed=0), start=start)


@pytest.mark.parametrize("keep", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_set_of_all_components_is_measured_exactly_whatever_share_is_kept(n, keep):
    """There are no others, so the one context is all there is: prompts alone are a sample."""
    by_prompt = np.array([0.9, 1.0, 1.1, 1.3])
    found = replicate(lambda masks: masks.all(1)[:, None] * by_prompt, [tuple(range(n))], sample_masks(n, 6, keep=keep))
    measured = found[tuple(range(n))]
    assert measured.exact
    assert measured.per_prompt == pytest.approx(by_prompt)
    assert measured.p_value() < 0.01
    assert measured.estimate().low > 0.5


def test_explained_games_of_few_players_keep_what_holds_them_together():
    found = cx.explain(
        lambda m: np.stack([m.prod(1) + 0.01 * i for i in range(20)], 1), 40, n_players=3, keep=0.4, progress=False
    )
    assert {edge.components for edge in found.circuit.interactions} >= {("p0", "p1", "p2")}
    alone = cx.explain(lambda m: m[:, 0] * 1.0, 10, n_players=1, keep=0.3, progress=False)
    assert [node.name for node in alone.circuit.nodes] == ["p0"]
