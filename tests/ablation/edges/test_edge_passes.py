"""The fast pass over edges, the plain one by hooks, and the model itself say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_llama_edges import plain_logits

from circuitspex import ComponentGame, EdgeGame
from circuitspex.components.edges import Edge

DENSE = ["llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"]
BY_HOOKS = ["mixtral", "olmo2", "bloom", "cohere", "granite", "gpt_oss"]
TOLERANCE = 1e-4
"""Of logits of size 1 to 5 in float32, summed over 13 sources in three layers."""


def of_model(model, tokens, lengths):
    """The metric of the model itself, through the plain Hugging Face module."""
    found = []
    with torch.no_grad():
        for row, length in zip(tokens, lengths.tolist(), strict=True):
            found.append(
                float(model.original_model(row[None, :length].to(next(model.parameters()).device)).logits[0, -1, 7])
            )
    return np.array(found)


@pytest.mark.some(4)
@pytest.mark.parametrize("edges", ["edges", "edges:ungrouped"])
@pytest.mark.parametrize("family", DENSE)
def test_the_fast_pass_is_the_plain_one(tiny, edge_task, some_gates, family, edges):
    model = tiny.bridge(family)
    game = EdgeGame(model, edge_task(model), edges)
    assert game.executor.startswith("fused")
    gates = some_gates(game.n_players)
    fast = game.evaluate(gates).per_prompt
    plain = EdgeGame(model, edge_task(model), edges, executor="hooks").evaluate(gates).per_prompt
    np.testing.assert_allclose(fast, plain, atol=TOLERANCE)
    assert np.ptp(plain, axis=0).min() > 100 * TOLERANCE


@pytest.mark.some(4)
@pytest.mark.parametrize("family", [*DENSE, *BY_HOOKS])
def test_open_is_the_model_and_closed_the_counterfactual_run(tiny, edge_task, family):
    model = tiny.bridge(family)
    task = edge_task(model)
    game = EdgeGame(model, task)
    values = game.evaluate(np.array([[True], [False]]) & np.ones(game.n_players, dtype=bool)).per_prompt
    np.testing.assert_allclose(values[0], of_model(model, task.tokens, task.lengths), atol=TOLERANCE)
    np.testing.assert_allclose(values[1], of_model(model, task.counterfactual_tokens, task.lengths), atol=TOLERANCE)


@pytest.mark.some(2)
@pytest.mark.parametrize("edges", ["edges", "edges:ungrouped"])
@pytest.mark.parametrize("executor", ["fused", "hooks"])
def test_it_is_what_plain_modules_of_a_llama_give(tiny, edge_task, some_gates, edges, executor):
    model = tiny.bridge("llama")
    task = edge_task(model)
    game = EdgeGame(model, task, edges, executor=executor)
    gates = some_gates(game.n_players, seed=3)
    named = [dict(zip(game.names, row, strict=True)) for row in gates.tolist()]
    values = game.evaluate(gates).per_prompt
    for prompt in (0, len(task) - 1):
        n = int(task.lengths[prompt])
        clean, other = task.tokens[prompt : prompt + 1, :n], task.counterfactual_tokens[prompt : prompt + 1, :n]
        expected = [float(plain_logits(model.original_model, clean, other, row)[0, -1, 7]) for row in named]
        np.testing.assert_allclose(values[:, prompt], expected, atol=TOLERANCE)


@pytest.mark.some(3)
@pytest.mark.parametrize("baseline", ["mean", "zero", "resample"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
def test_closing_all_edges_from_parts_is_ablating_them(tiny, edge_task, family, baseline):
    model = tiny.bridge(family)
    task = edge_task(model)
    nodes = ComponentGame(model, task, "heads+mlps", baseline)
    masks = np.random.default_rng(1).random((6, nodes.n_players)) < 0.6
    game = EdgeGame(model, task, "edges", baseline)
    place = {name: column for column, name in enumerate(nodes.names)}
    sources = np.array(game.graph.sources)[game.graph.source]
    edges = np.stack([[source == "emb" or bool(row[place[source]]) for source in sources] for row in masks])
    np.testing.assert_allclose(game.evaluate(edges).per_prompt, nodes.evaluate(masks).per_prompt, atol=TOLERANCE)


def test_nothing_dead_matters_under_resample(tiny, edge_task):
    """A part that hands on nothing may read what it will."""
    model = tiny.bridge("llama")
    game = EdgeGame(model, edge_task(model))
    rng = np.random.default_rng(2)
    graph = game.graph
    from_it = np.array([name == "L1M" for name in graph.sources])[graph.source]
    into_it = np.array([name == "L1M" for name in graph.targets])[graph.target]
    mask = rng.random(game.n_players) < 0.8
    mask &= ~from_it
    others = np.stack([mask | into_it, mask & ~into_it])
    values = game.evaluate(others).per_prompt
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)


@pytest.mark.some(2)
@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_other_baselines_are_those_of_the_plain_way(tiny, edge_task, some_gates, baseline):
    for family in ("gpt2", "gemma2"):
        model = tiny.bridge(family)
        task = edge_task(model)
        game = EdgeGame(model, task, "edges", baseline)
        gates = some_gates(game.n_players, seed=4)
        plain = EdgeGame(model, task, "edges", baseline, executor="hooks").evaluate(gates).per_prompt
        np.testing.assert_allclose(game.evaluate(gates).per_prompt, plain, atol=TOLERANCE)


def test_edges_at_single_positions(tiny, edge_task):
    model = tiny.bridge("llama")
    task = edge_task(model)
    chosen = ["*->L2M@-1", "L0H1->L1H0", "L0M->L1M", "emb->L1H2.q@-2", "emb->L1H2.q@-1"]
    game = EdgeGame(model, task, chosen)
    gates = np.random.default_rng(5).random((4, game.n_players))
    plain = EdgeGame(model, task, chosen, executor="hooks")
    np.testing.assert_allclose(game.evaluate(gates).per_prompt, plain.evaluate(gates).per_prompt, atol=TOLERANCE)
    run = game.evaluate(gates[:1], gradients=True)
    by_hooks = plain.evaluate(gates[:1], gradients=True)
    np.testing.assert_allclose(run.gradients, by_hooks.gradients, atol=TOLERANCE)
    # At all positions of an edge, one after the other, is at every position.
    n = int(task.lengths.max())
    same = task.subset([i for i, length in enumerate(task.lengths.tolist()) if length == n])
    apart = EdgeGame(model, same, [f"L0M->L2H3.q@{at}" for at in range(n)]).evaluate(np.zeros((1, n), dtype=bool))
    whole = EdgeGame(model, same, Edge("L0M", "L2H3.q")).evaluate(np.zeros((1, 1), dtype=bool))
    np.testing.assert_allclose(apart.per_prompt, whole.per_prompt, atol=1e-5)


def test_sizes_of_batches_change_nothing(tiny, edge_task, some_gates):
    model = tiny.bridge("qwen2")
    task = edge_task(model)
    game = EdgeGame(model, task)
    gates = some_gates(game.n_players)
    run = game.evaluate(gates, gradients=True)
    for rows in (1, 2, 7):
        again = EdgeGame(model, task, batch_rows=rows).evaluate(gates, gradients=True)
        np.testing.assert_allclose(again.per_prompt, run.per_prompt, atol=1e-5)
        np.testing.assert_allclose(again.gradients, run.gradients, atol=1e-5)


@pytest.mark.some(2)
@pytest.mark.parametrize(("family", "edges"), [("llama", "edges"), ("gpt2", "edges"), ("gemma2", "edges:ungrouped")])
def test_gradients_are_central_differences(tiny, edge_task, exact_bridge, family, edges):
    model = exact_bridge(family)
    game = EdgeGame(model, edge_task(model), edges)
    rng = np.random.default_rng(6)
    at = 0.1 + 0.8 * rng.random(game.n_players)
    run = game.evaluate(at[None], gradients=True)
    step = 1e-5
    for column in rng.choice(game.n_players, 25, replace=False):
        move = step * (np.arange(game.n_players) == column)
        high, low = game.evaluate(np.stack([at + move, at - move])).values
        assert run.gradients[0, column] == pytest.approx((high - low) / (2 * step), rel=1e-5, abs=1e-7)


def test_what_is_kept_in_a_store_is_what_was_run(tiny, edge_task, some_gates, tmp_path):
    model = tiny.bridge("llama")
    task = edge_task(model)
    first = EdgeGame(model, task, store=tmp_path / "edges.sqlite")
    gates = some_gates(first.n_players)
    run = first.evaluate(gates, gradients=True)
    again = EdgeGame(model, task, store=tmp_path / "edges.sqlite")
    kept = again.evaluate(gates, gradients=True)
    assert again.n_stored == len(gates)
    np.testing.assert_array_equal(kept.per_prompt, run.per_prompt)
    np.testing.assert_array_equal(kept.gradients, run.gradients)
    other = EdgeGame(model, task, baseline="zero", store=tmp_path / "edges.sqlite")
    other.evaluate(gates)
    assert other.n_stored == 0


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_layers_that_are_computed_again_have_the_same_slopes(tiny, edge_task, some_gates, family, monkeypatch):
    model = tiny.bridge(family)
    gates = some_gates(EdgeGame(model, edge_task(model)).n_players)
    slopes = []
    for few in (0, 10**6):  # never again, or always
        monkeypatch.setattr("circuitspex.ablation.edges.engine._FEW_ROWS", few)
        monkeypatch.setattr("circuitspex.ablation.edges.engine._MOST_ROWS", {"cpu": 10**6, "other": 10**6})
        monkeypatch.setattr("circuitspex.ablation.edges.engine.for_a_batch", lambda device: 0.4 * 2**20)
        slopes.append(EdgeGame(model, edge_task(model)).evaluate(gates, gradients=True).gradients)
    np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-6)
    assert np.abs(slopes[0]).max() > 0.1
