"""Circuits of components at every size: what is chosen, by which prompts, and that it is what the model gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import circuitspex as cx
from circuitspex.circuits import find_nodes
from circuitspex.errors import ComponentError, UserError

SHARES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


@pytest.fixture(scope="module")
def found(tiny: SimpleNamespace) -> tuple[Any, Any, Any]:
    model = tiny.bridge("llama")
    task = tiny.task(model, (5,) * 8)
    return model, task, find_nodes(model, task, budget=30, progress=False)


def test_circuits_are_no_larger_than_asked_and_named(found: tuple[Any, Any, Any]) -> None:
    model, task, nodes = found
    assert nodes.names == tuple(cx.ComponentGame(model, task, "heads+mlps").names)
    for circuit in (*nodes.highest, *nodes.nearest, nodes.chosen(7), nodes.matched(5)):
        assert circuit.size == circuit.budget
        assert circuit.names == tuple(nodes.names[i] for i in circuit.columns)


def test_values_are_those_of_plain_hooks_on_prompts_left_out(found: tuple[Any, Any, Any]) -> None:
    model, task, nodes = found
    _, left_out = task.split(0.375, seed=0)
    game = cx.ComponentGame(model, left_out, "heads+mlps", "resample", executor="hooks")
    given = game.evaluate(nodes.masks(nodes.highest), progress=False).per_prompt
    np.testing.assert_allclose(given, [each.per_prompt for each in nodes.highest], atol=1e-4)  # float32 passes
    ends = game.evaluate(np.array([[True], [False]]) & np.ones(len(nodes.names), bool), progress=False).per_prompt
    np.testing.assert_allclose(ends, [nodes.whole, nodes.empty], atol=1e-4)


def test_circuits_of_the_start_are_chosen_by_the_slopes_on_all_prompts(tiny: SimpleNamespace) -> None:
    """With passes for the start alone: slopes of the whole task, and each component ablated alone, ordered by hand."""
    model = tiny.bridge("llama")
    task = tiny.task(model, (5,) * 8)
    nodes = find_nodes(model, task, budget=6, progress=False)
    game, n = cx.ComponentGame(model, task, "heads+mlps", "resample"), len(nodes.names)
    slopes = game.evaluate(np.repeat(SHARES[:, None], n, axis=1), gradients=True, progress=False).gradients
    whole, *without = game(np.concatenate([np.ones((1, n), bool), ~np.eye(n, dtype=bool)]))
    rows, shares = np.vstack([np.asarray(slopes), whole - np.array(without)]), np.append(SHARES, 1 - 1 / n)
    toward = np.sign(nodes.whole.mean() - nodes.empty.mean())
    for circuit in nodes.highest:
        weights = np.exp(-np.abs(np.log(shares / (circuit.budget / n))))
        best = np.argsort(-toward * (weights @ rows), kind="stable")[: circuit.budget]
        assert set(circuit.columns.tolist()) == set(best.tolist())


def test_it_finds_more_of_the_behaviour_than_attribution_of_the_field(tiny: SimpleNamespace) -> None:
    """On the prompts that both see, with no fewer passes: random weights have nothing that carries over to others."""
    model = tiny.bridge("gpt2")
    task = tiny.task(model, (5,) * 6)
    nodes = find_nodes(model, task, budget=40, left_out=task, progress=False)
    game = cx.ComponentGame(model, task, "heads+mlps", "resample")
    scores = cx.attribution_scores(game, method="nap-ig-inputs", steps=nodes.passes, progress=False)
    report = cx.mib_scores(game, {"found": nodes, "NAP-IG": scores}, progress=False)
    assert report.curves["chosen"].cpr.value > report.curves["NAP-IG"].cpr.value
    assert report.curves["matched"].cmd.value < report.curves["|NAP-IG|"].cmd.value
    assert report.passes["chosen"] == nodes.passes


def test_a_store_has_what_a_search_ran(tiny: SimpleNamespace, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.bridge("llama")
    task = tiny.task(model, (5,) * 4)
    first = find_nodes(model, task, "heads", budget=12, store=tmp_path / "runs.sqlite", progress=False)

    def refuse(*_: Any) -> Any:
        raise AssertionError("something was run again")

    monkeypatch.setattr(cx.ComponentGame, "_play", refuse)
    again = find_nodes(model, task, "heads", budget=12, store=tmp_path / "runs.sqlite", progress=False)
    assert [each.names for each in again.highest] == [each.names for each in first.highest]


def test_wrong_calls_are_one_line_before_a_model_is_loaded() -> None:
    with pytest.raises(UserError, match="budget of a search among components must be at least 6"):
        find_nodes("no such model", "ioi", budget=3)
    with pytest.raises(ComponentError, match="headz"):
        find_nodes("no such model", "ioi", "headz")
    with pytest.raises(UserError, match="baseline"):
        find_nodes("no such model", "ioi", baseline="median")
