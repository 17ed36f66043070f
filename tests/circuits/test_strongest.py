"""What of the strongest parts is a discovery: tests over all that were measured, and intervals of those selected."""

from __future__ import annotations

import numpy as np

import circuitspex as cx
from circuitspex.circuits.evidence._strongest import measured_parts
from circuitspex.circuits.evidence.resolution import Resolution
from circuitspex.games import RememberingGame
from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.scoring.r2 import Score
from circuitspex.statistics import moments, p_value, q_values, selected_confidence, t_interval


class Noisy:
    """Players 0 to 2 matter (1 and 2 only together), the others change a value by as much as chance does."""

    n_players = 14

    def __init__(self, seed, noise=0.7, columns=8):
        rng = np.random.default_rng(seed)
        self.mix, self.phase = 400 * rng.normal(size=(14, columns)), rng.uniform(0, 6.28, columns)
        self.noise = noise

    def __call__(self, masks):
        signs = 2.0 * masks - 1
        values = 0.8 * signs[:, 0] + 0.8 * signs[:, 1] * signs[:, 2]
        return values[:, None] + self.noise * np.sin(signs @ self.mix + self.phase)


def parts_of(seed):
    """All 14 players and four pairs, one of which is real, measured as a search does that thinks all of them matter."""
    game = cx.FunctionGame(Noisy(seed))
    terms = {(): 0.0, (1, 2): 0.8, (0, 5): 0.3, (4, 6): -0.3, (7, 9): 0.2, **{(i,): 0.1 for i in range(14)}}
    function = Polynomial.of(terms)
    errors = np.zeros(len(function.terms))
    decoded = cx.Interactions(function, errors, game.names, "linear", 0.5, 100, 0, Score(0.5, 0.4, 0.6, 100))
    contexts = cx.sample_masks(14, 32, seed=seed)
    asked = RememberingGame(game, False)
    resolution = Resolution.of(asked.evaluate(contexts).per_prompt)
    return measured_parts(decoded, game, asked.stage("again"), contexts, 16, 14, 12, resolution, uniform=True)


def test_components_are_tested_over_all_that_were_measured():
    false, shown, hollow = 0, 0, 0
    for seed in range(20):
        parts = parts_of(seed)
        names = {node.name: node for node in parts.nodes}
        assert {"p0", "p1", "p2"} <= set(names)
        assert names["p0"].is_distinct
        assert len(parts.nodes) + len(parts.dropped_nodes) == 14
        assert all(node.q > 0.05 and node.adjusted is None for node in parts.dropped_nodes)
        false += sum(node.is_distinct and node.name != "p0" for node in parts.nodes)
        shown += sum(node.is_distinct for node in parts.nodes)
        hollow += sum(not names[name].is_distinct for name in ("p1", "p2"))
    assert (
        false / shown < 0.15
    )  # 5 % are allowed; each apart at 5 %, a search would show 0.65 false ones beside the one
    assert hollow > 34  # they matter only together


def test_selected_parts_have_wider_intervals_and_the_others_their_own():
    parts = parts_of(1)
    node = next(node for node in parts.nodes if node.name == "p0")
    edge = next(edge for edge in parts.interactions if edge.components == ("p1", "p2"))
    for part in (node, edge):
        assert part.adjusted.value == part.measured.value
        assert part.adjusted.low < part.measured.low < part.measured.high < part.adjusted.high
    assert all(edge.adjusted is None for edge in parts.dropped)
    assert {edge.components for edge in (*parts.interactions, *parts.dropped)} == {
        ("p1", "p2"),
        ("p0", "p5"),
        ("p4", "p6"),
        ("p7", "p9"),
    }


def test_the_confidence_of_what_was_selected():
    """Benjamini and Yekutieli 2005, definition 1: 1 - R q / m."""
    assert selected_confidence(3, 12) == 1 - 0.05 * 3 / 12
    assert selected_confidence(12, 12) == 0.95
    assert selected_confidence(0, 12) == selected_confidence(1, 12)
    assert selected_confidence(2, 10, rate=0.1) == 0.98


def test_of_the_intervals_that_are_shown_few_are_wrong():
    """With the usual intervals, those of what was selected because it looked large miss the truth far more often."""
    rng, usual, adjusted = np.random.default_rng(0), [], []
    for _ in range(400):
        truth = np.repeat([0.0, 0.9], [30, 10])
        found = [moments(rng.normal(mean, 1, (1, 10))) for mean in truth]
        q = q_values([p_value(*each) for each in found])
        shown = [i for i in range(40) if q[i] <= 0.05]
        for confidence, wrong in ((0.95, usual), (selected_confidence(len(shown), 40), adjusted)):
            ends = [t_interval(*found[i], confidence) for i in shown]
            missed = sum(not e.low <= truth[i] <= e.high for e, i in zip(ends, shown, strict=True))
            wrong.append(missed / max(1, len(shown)))
    assert np.mean(usual) > 0.08
    assert np.mean(adjusted) <= 0.05
