"""Comparing checkpoints of tiny models: what was made to change is found, and nothing where nothing was."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.circuits import compare
from circuitspex.errors import UserError
from circuitspex.statistics import moments, p_value

QUICK: dict[str, Any] = {"budget": 80, "n_heldout": 40, "n_contexts": 8, "max_nodes": 6, "max_interactions": 4}


def quiet_compare(*args: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compare(*args, **{**QUICK, "progress": False, **options})


def changed(tiny: SimpleNamespace, change: Any) -> Any:
    """The same model after ``change(name, parameter)`` on every parameter."""
    model = tiny.fresh_bridge("llama")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            change(name, parameter)
    return model


def without_head(layer: int, head: int, size: int = 4) -> Any:
    def change(name: str, parameter: torch.Tensor) -> None:
        if f"layers.{layer}." in name and "o_proj" in name:
            parameter[:, head * size : (head + 1) * size] = 0

    return change


@pytest.fixture(scope="module")
def found(tiny: SimpleNamespace) -> Any:
    before = tiny.bridge("llama")
    size = before.cfg.d_head
    return quiet_compare(before, changed(tiny, without_head(0, 1, size)), tiny.task(before, (5,)))


def test_pairs_say_in_each_model_what_they_do_to_each_other(found: Any) -> None:
    pairs = [edge for circuit in (found.before, found.after) for edge in circuit.interactions if edge.order == 2]
    assert pairs
    for edge in pairs:
        assert edge.pair is not None
        assert edge.relation.is_claimed
        values = {row.kept: row.value for row in edge.table}
        effects = edge.pair.conditional[0]
        assert effects.ablated.value == pytest.approx(values[True, False] - values[False, False], abs=1e-5)
        assert effects.kept.value == pytest.approx(values[True, True] - values[False, True], abs=1e-5)
        assert effects.kept.value - effects.ablated.value == pytest.approx(edge.effect, abs=1e-5)
    assert all(edge.pair is None for edge in found.difference.interactions)


def test_a_head_that_was_switched_off_is_lost(found: Any) -> None:
    by_name = {change.components: change for change in found.changes}
    lost = by_name["L0H1",]
    assert lost.kind == "lost"
    assert lost.after.value == pytest.approx(0, abs=1e-5)
    assert lost.difference.value == pytest.approx(lost.after.value - lost.before.value, abs=1e-9)
    assert lost.q <= found.fdr
    assert not found.identical
    for change in found.changes:
        if change.order > 1 and "L0H1" in change.components:
            assert change.after.value == pytest.approx(0, abs=1e-5)


def test_the_circuits_hold_together(found: Any) -> None:
    assert {node.name for node in found.difference.nodes} >= {"L0H1"}
    assert "L0H1" not in {node.name for node in found.after.nodes}
    for circuit in (found.before, found.after, found.difference):
        names = {node.name for node in circuit.nodes}
        assert all(set(edge.components) <= names for edge in circuit.interactions)
    assert [abs(change.difference.value) for change in found.changes] == sorted(
        (abs(change.difference.value) for change in found.changes), reverse=True
    )
    assert set(found.found) == {change for change in found.changes if change.kind != "unchanged"}
    gap = found.metric_after.value - found.metric_before.value
    assert found.metric_difference.value == pytest.approx(gap)


def test_the_difference_is_decoded_better_than_chance(found: Any) -> None:
    assert found.faithfulness.r2 is not None
    assert found.faithfulness.r2 > 0.3


@pytest.mark.long
def test_the_other_way_round_it_is_gained(tiny: SimpleNamespace, found: Any) -> None:
    after = tiny.bridge("llama")
    before = changed(tiny, without_head(0, 1, after.cfg.d_head))
    other = quiet_compare(before, after, tiny.task(after, (5,)))
    assert {c.components: c.kind for c in other.changes}["L0H1",] == "gained"


def test_the_same_weights_are_identical_and_nothing_is_run(tiny: SimpleNamespace, monkeypatch: Any) -> None:
    monkeypatch.setattr(cx.ComponentGame, "evaluate", None)
    one, two = tiny.bridge("llama"), tiny.fresh_bridge("llama")
    found = compare(one, two, tiny.task(one, (5, 5)))
    assert found.identical
    assert found.changes == ()
    assert found.found == ()


@pytest.mark.long
def test_noise_far_below_any_effect_is_no_change(tiny: SimpleNamespace) -> None:
    before = tiny.bridge("llama")
    task = tiny.task(before, (5,) * 6)
    with_changes = 0
    for repeat in range(20):
        generator = torch.Generator().manual_seed(repeat)

        def noise(name: str, parameter: torch.Tensor, generator: Any = generator) -> None:
            parameter += 1e-5 * parameter.std() * torch.randn(parameter.shape, generator=generator)

        found = quiet_compare(
            before, changed(tiny, noise), task, method="linear", seed=repeat, budget=24, max_interactions=2
        )
        assert not found.identical
        with_changes += bool(found.found)
    assert with_changes <= 1


@pytest.mark.long
def test_the_same_seed_gives_the_same_comparison(tiny: SimpleNamespace, found: Any) -> None:
    before = tiny.bridge("llama")
    again = quiet_compare(before, changed(tiny, without_head(0, 1, before.cfg.d_head)), tiny.task(before, (5,)))
    assert again.changes == found.changes


@pytest.mark.long
def test_a_metric_without_gradients_is_compared_from_values(tiny: SimpleNamespace) -> None:
    before = tiny.bridge("llama")

    def rank(logits: torch.Tensor, rows: Any) -> torch.Tensor:
        return (logits > logits.gather(1, rows.answers[:, None])).sum(1).float()

    task = tiny.task(before, (5,) * 6, metric=rank)
    found = quiet_compare(before, changed(tiny, without_head(0, 1, before.cfg.d_head)), task)
    assert found.run["gradient_ablations"] == 0
    assert found.run["plain_ablations"] == QUICK["budget"]
    with pytest.raises(UserError):
        quiet_compare(before, changed(tiny, without_head(0, 1, before.cfg.d_head)), task, method="gradspex")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": 1}, "budget must be at least 2"),
        ({"fdr": 0.0}, "fdr must lie between 0 and 1"),
        ({"min_effect": float("nan")}, "min_effect must be a number"),
        ({"min_effect": -1.0}, "min_effect must be a number"),
        ({"method": "spex"}, "masks of its own design"),
        ({"keep": 1.0}, "keep must lie between 0 and 1"),
        ({"components": "L7H0"}, "L7H0"),
    ],
)
def test_wrong_calls_are_one_line(tiny: SimpleNamespace, options: Any, said: str) -> None:
    before = tiny.bridge("llama")
    with pytest.raises(UserError, match=said):
        quiet_compare(before, tiny.bridge("llama", seed=1), tiny.task(before, (5, 5)), **options)


def test_other_architectures_are_refused_with_the_reason(tiny: SimpleNamespace) -> None:
    before = tiny.bridge("llama")
    with pytest.raises(UserError, match="can't be compared component by component"):
        quiet_compare(before, tiny.bridge("gpt2"), tiny.task(before, (5, 5)))


def test_common_masks_make_the_difference_sharper_than_two_separate_results(found: Any) -> None:
    widths, separate = [], []
    for change in found.found:
        widths.append(change.difference.high - change.difference.low)
        each = [part.high - part.low for part in (change.before, change.after)]
        separate.append(float(np.hypot(*each)))
    assert np.median(widths) <= 1.05 * np.median(separate)


def test_few_components_are_compared_exactly(tiny: SimpleNamespace) -> None:
    """Where there are no other components, the one context is all there is; and no mask is scored twice."""
    before = tiny.bridge("llama")
    after = changed(tiny, without_head(0, 1, before.cfg.d_head))
    task = tiny.task(before, (5,) * 30)
    found = quiet_compare(before, after, task, ["L0H1"])
    (change,) = found.changes
    assert str(found.faithfulness) == "R² 1.000, exact over all 2 masks"
    games = [cx.ComponentGame(model, task, ["L0H1"]) for model in (before, after)]
    kept, ablated = (
        [game.evaluate(np.array([[on]]), progress=False).per_prompt[0] for game in games] for on in (True, False)
    )
    gap = (kept[1] - ablated[1]) - (kept[0] - ablated[0])
    assert change.difference.value == pytest.approx(gap.mean(), abs=1e-5)
    assert change.after.value == pytest.approx(0, abs=1e-6)
    assert change.q == pytest.approx(p_value(*moments(gap[None]), least=found.min_effect), rel=1e-3)
    assert 0 < change.q < 1
    pair = quiet_compare(before, after, task, ["L0H1", "L1H2"])
    assert (pair.faithfulness.n_masks, pair.faithfulness.exact) == (4, True)
    assert all(0 <= each.q < 1 for each in pair.changes)


def test_a_share_is_scored_on_masks_that_were_not_decoded(tiny: SimpleNamespace) -> None:
    before = tiny.bridge("llama")
    after = changed(tiny, without_head(0, 1, before.cfg.d_head))
    found = quiet_compare(before, after, tiny.task(before, (5,)), ["L0H1", "L1H2", "L2H0"], keep=0.3)
    assert found.faithfulness.n_masks == found.run["heldout_ablations"] < 4  # all of the few have been run to decode
    assert found.faithfulness.r2 is None
    assert "decoded difference" not in found.table()
