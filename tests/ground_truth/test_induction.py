"""The induction model along its training: what the files say is true, and the circuit's birth is seen."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.circuits import compare, compare_series
from circuitspex.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import induction

STEPS = [int(row["step"]) for row in induction.history()]


def test_the_recorded_loss_and_accuracy_are_those_of_the_files():
    assert len(STEPS) >= 8
    for row in induction.history():
        with torch.no_grad():
            loss, accuracy = induction.losses(induction.load_checkpoint(int(row["step"])), *induction.test_sequences())
        assert float(loss) == pytest.approx(row["loss"], abs=1e-3)
        assert accuracy == pytest.approx(row["accuracy"], abs=2e-3)


def test_induction_is_learnt_from_chance_to_nearly_always():
    accuracies = [row["accuracy"] for row in induction.history()]
    assert accuracies[0] < 0.05
    assert accuracies[-1] > 0.9


@pytest.fixture(scope="module")
def series():
    models = {str(step): (lambda step=step: induction.load_checkpoint(step)) for step in STEPS}
    task = induction.task(induction.load_checkpoint(0), n_prompts=16)
    return compare_series(models, task, budget=96, n_contexts=24, progress=False)


@pytest.mark.long
def test_the_birth_of_the_circuit_is_visible(series):
    """A head of the first layer and one of the second work together at the end, and not at the start."""
    effects = {members: [point.effects[i] for point in series.points] for i, members in enumerate(series.sets)}
    across = {m: e for m, e in effects.items() if len(m) == 2 and m[0].startswith("L0") and m[1].startswith("L1")}
    best = max(across, key=lambda members: across[members][-1].value)
    assert across[best][-1].low > 0
    assert abs(across[best][0].value) < 0.1 * across[best][-1].value
    metric = [point.metric.value for point in series.points]
    assert metric[-1] > metric[0] + 5


@pytest.mark.long
def test_the_same_checkpoint_twice_is_said_and_not_measured_again():
    models = {name: induction.load_checkpoint(step) for name, step in (("a", 500), ("b", 500), ("c", 0))}
    task = induction.task(models["a"], n_prompts=6)
    found = compare_series(models, task, budget=24, n_contexts=4, decode_at=["a"], progress=False)
    assert dict(found.same_as) == {"b": "a"}
    assert found.points[0].effects == found.points[1].effects
    assert found.points[2].effects != found.points[0].effects


@pytest.mark.long
def test_two_checkpoints_compared_show_what_was_gained():
    before, after = induction.load_checkpoint(0), induction.load_checkpoint(500)
    found = compare(before, after, induction.task(before, n_prompts=16), budget=96, n_contexts=24, progress=False)
    gained = {change.components for change in found.of("gained")}
    assert any(len(members) == 1 and members[0].startswith("L1") for members in gained)
    assert any(len(members) > 1 for members in gained)
    assert not found.of("lost")
    assert found.metric_difference.low > 0
    assert found.faithfulness.r2 > 0.8


@pytest.mark.parametrize(
    ("models", "options", "said"),
    [
        ({"a": None}, {}, "at least two checkpoints, not 1"),
        ({"a": None, "b": None}, {"decode_at": ["c"]}, "no checkpoint 'c'; there are a, b"),
    ],
)
def test_wrong_calls_are_one_line(models, options, said):
    with pytest.raises(UserError, match=said):
        compare_series(models, None, **options)


@pytest.mark.long
def test_the_induction_head_attends_to_what_came_after_the_same_word():
    """The head that the circuit names as strongest is an induction head by its attention, too."""
    model = induction.load_checkpoint(STEPS[-1])
    task = induction.task(model, n_prompts=16)
    game = cx.ComponentGame(model, task)
    n = game.n_players
    masks = cx.sample_masks(n, 96, seed=0)
    run = game.evaluate(masks, gradients=True, progress=False)
    found = cx.decode(masks, run.values, gradients=run.gradients, names=game.names)
    effects = [found.effect(i) for i in range(n)]
    best = game.components[int(np.argmax(effects))]
    assert best.layer == 1
    tokens, second = induction.test_sequences()
    patterns = []
    model.run_with_hooks(
        tokens, fwd_hooks=[("blocks.1.attn.hook_pattern", lambda value, hook: patterns.append(value.detach()))]
    )
    length = tokens.shape[1] - second
    rows = torch.arange(second + 1, tokens.shape[1] - 1)
    share = patterns[0][:, best.start, rows, rows - length + 1].mean()
    assert share > 0.4
