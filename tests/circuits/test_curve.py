"""Faithfulness over size, its areas as MIB defines them, and attribution patching."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits.evidence.attribution import nap, nap_ig, ranked
from circuitspex.circuits.evidence.curve import SHARES, area, curves, faithfulness, sizes_of
from circuitspex.errors import UserError


def test_the_ten_sizes_are_rounded_down():
    assert sizes_of(270) == (0, 0, 1, 2, 5, 13, 27, 54, 135, 270)
    assert sizes_of(1000) == (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    with pytest.raises(UserError):
        sizes_of(0)


def test_the_area_is_the_trapezoidal_rule_over_the_shares():
    values = np.random.default_rng(1).normal(size=10)
    by_hand = sum((SHARES[i + 1] - SHARES[i]) * (values[i] + values[i + 1]) / 2 for i in range(9))
    assert area(values) == pytest.approx(by_hand)
    assert area(np.ones(10)) == pytest.approx(0.999)


def test_curves_of_a_perfect_an_empty_and_a_random_circuit():
    rng = np.random.default_rng(2)
    full, empty = 3 + rng.normal(size=12), rng.normal(size=12)
    whole, nothing = np.tile(full, (10, 1)), np.tile(empty, (10, 1))
    middle = (whole + nothing) / 2
    found, draws = curves({"perfect": whole, "empty": nothing, "half": middle}, full, empty, sizes_of(100))
    assert found["perfect"].cpr.value == pytest.approx(0.999)
    assert found["perfect"].cmd.value == pytest.approx(0)
    assert found["empty"].cpr.value == pytest.approx(0)
    assert found["empty"].cmd.value == pytest.approx(0.999)
    assert [v.value for v in found["half"].values] == pytest.approx([0.5] * 10)
    gain = draws.cpr_gain(found, "perfect", "half")
    assert gain.value == pytest.approx(0.4995)
    assert gain.low <= gain.value <= gain.high
    assert draws.cmd_gain(found, "perfect", "empty").value == pytest.approx(0.999)
    assert found["half"].distinct == (0, 1, 2, 5, 10, 20, 50, 100)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng([seed, 9])
        noise = rng.normal(size=40)
        full, empty = 2 + noise, np.zeros(40)
        kept = np.tile(1 + noise / 2 + 0.3 * rng.normal(size=40), (10, 1))
        found, _ = curves({"a": kept}, full, empty, sizes_of(100), seed=seed)
        hits += found["a"].cpr.low <= 0.4995 <= found["a"].cpr.high
    assert hits >= 85  # 95 expected; a bootstrap of 40 prompts is a little narrow


def test_no_faithfulness_where_ablation_changes_nothing():
    with pytest.raises(UserError, match="undefined"):
        curves({"a": np.ones((10, 3))}, np.ones(3), np.ones(3), sizes_of(10))


def test_faithfulness_divides_means():
    metric = np.array([[1.0, 3.0]])
    assert faithfulness(metric, np.array([4.0, 4.0]), np.array([0.0, 0.0])) == pytest.approx(0.5)


def test_nap_is_the_slope_of_the_gates_and_nap_ig_adds_up(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    game = cx.ComponentGame(model, tiny.task(model, (5, 5, 5)), "heads+mlps")
    n, step = game.n_players, 1e-3
    scores = nap(game, progress=False)
    whole = game(np.ones((1, n), dtype=bool))[0]
    for i in (0, 3, n - 1):
        gates = np.ones((1, n))
        gates[0, i] = 1 - step
        slope = (whole - game.evaluate(gates, progress=False).values[0]) / step
        assert scores[i] == pytest.approx(slope, abs=0.02 * max(1, abs(slope)))
    ends = game(np.array([np.ones(n, dtype=bool), np.zeros(n, dtype=bool)]))
    many = nap_ig(game, steps=200, progress=False).sum()
    assert many == pytest.approx(ends[0] - ends[1], abs=0.02 * abs(ends[0] - ends[1]) + 0.01)
    with pytest.raises(UserError):
        nap_ig(game, steps=0)


def test_ranking_by_score_and_by_absolute_score():
    scores = np.array([1.0, -3.0, 2.0, 0.0])
    assert ranked(scores) == [2, 0, 3, 1]
    assert ranked(scores, absolute=True) == [1, 2, 0, 3]
