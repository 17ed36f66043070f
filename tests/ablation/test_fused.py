"""The fast way gives what plain hooks give, skips what it says it skips, and is not used where it would be wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.ablation import engine
from circuitspex.ablation.executors import agreement, dense, dense_pass
from circuitspex.errors import TaskError, UserError
from circuitspex.games import ComponentGame

SELECTORS = ["heads+mlps", "mlps+neurons:8", "L1.heads@2+L2.mlps@3+L2.neurons:16@-1", "L1.heads+L2.mlps", "mlps@-1"]


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, 7]


def fresh(n: int) -> tuple[np.ndarray, int]:
    """Gates on, off and between, from a seed that is new in every run and is shown where a test fails."""
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    gates = np.where(rng.random((7, n)) < 0.7, rng.random((7, n)).round(), rng.random((7, n)))
    gates[0], gates[1] = 0, 1
    gates[2, : n // 2] = 1
    return gates, seed


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
@pytest.mark.some(12)
def test_fused_gives_what_hooks_give(tiny, family, model, selector, baseline):
    if family == "mixtral":
        pytest.skip("not a dense model")
    task = tiny.task(model, lengths=(6, 4, 6, 6), metric=raw_logit)
    fast = ComponentGame(model, task, selector, baseline, executor="fused")
    slow = ComponentGame(model, task, selector, baseline, executor="hooks")
    gates, seed = fresh(fast.n_players)
    a, b = fast.evaluate(gates), slow.evaluate(gates)
    np.testing.assert_allclose(a.per_prompt, b.per_prompt, atol=1e-4, err_msg=f"seed {seed}")
    a, b = fast.evaluate(gates[:3], gradients=True), slow.evaluate(gates[:3], gradients=True)
    np.testing.assert_allclose(a.gradients, b.gradients, atol=1e-3, err_msg=f"seed {seed}")
    assert np.abs(b.gradients).max() > 1e-3


def test_auto_is_fused_on_dense_models_and_says_why_not_on_others(tiny, family, model):
    game = ComponentGame(model, tiny.task(model), "heads")
    if family != "mixtral":
        assert game.executor == "fused: shared and ablated work is skipped"
        return
    assert game.executor.startswith("batched hooks")
    assert "not fused: layer 0 has not one attention and one dense MLP" in game.executor
    with pytest.raises(UserError, match=r"executor 'fused' is not for this model: layer 0"):
        ComponentGame(model, tiny.task(model), "heads", executor="fused")
    with pytest.raises(UserError, match=r"precision 'bfloat16' is not for this model"):
        ComponentGame(model, tiny.task(model), "heads", precision="bfloat16")


@pytest.mark.parametrize("misread", [{"scale": 0.1}, {"softcap": 0.5}])
def test_a_misread_part_is_noticed_and_hooks_run(tiny, model, family, monkeypatch, misread):
    if family == "mixtral":
        pytest.skip("not a dense model")
    right = dense.dense_model

    def wrong(*args: Any, **options: Any) -> dense.DenseModel:
        found = right(*args, **options)
        layers = [
            dataclasses.replace(layer, attention=dataclasses.replace(layer.attention, **misread))
            for layer in found.layers
        ]
        return dataclasses.replace(found, layers=tuple(layers))

    monkeypatch.setattr(agreement, "dense_model", wrong)
    monkeypatch.setattr(agreement, "_known", {})
    game = ComponentGame(model, tiny.task(model), "heads")
    assert "not fused: a trial pass gave other logits than plain hooks" in game.executor


def test_hooks_that_the_user_added_are_not_passed_over(tiny):
    model = tiny.fresh_bridge("llama")
    model.add_hook("blocks.1.hook_mlp_out", lambda z, hook: z * 3)
    try:
        game = ComponentGame(model, tiny.task(model), "heads")
        expected = ComponentGame(model, tiny.task(model), "heads", executor="hooks")
        masks = np.eye(game.n_players, dtype=bool)[:3]
        assert "not fused" in game.executor
        np.testing.assert_allclose(game(masks), expected(masks), atol=1e-4)
    finally:
        model.reset_hooks()


def test_changed_weights_are_read_again(tiny):
    model = tiny.fresh_bridge("qwen2", seed=5)
    masks = np.eye(12, dtype=bool)[:4]
    before = ComponentGame(model, tiny.task(model), "heads")(masks)
    with torch.no_grad():
        model.blocks[1].mlp.out.original_component.weight.mul_(2)
    game = ComponentGame(model, tiny.task(model), "heads")
    assert game.executor.startswith("fused")
    after = game(masks)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(
        after, ComponentGame(model, tiny.task(model), "heads", executor="hooks")(masks), atol=1e-4
    )


def test_only_rows_whose_mlp_is_kept_compute_it(tiny, monkeypatch):
    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model), "mlps")
    masks = np.array([[True, False, True], [False, False, True], [False, True, False]])
    rows: list[int] = []
    neurons = dense.DenseMLP.neurons

    def counted(self: Any, x: torch.Tensor) -> torch.Tensor:
        rows.append(x.shape[0])
        return neurons(self, x)

    monkeypatch.setattr(dense.DenseMLP, "neurons", counted)
    game.evaluate(masks)
    assert rows == [1, 1, 2]  # the first layer's MLP once a prompt: no mask differs before it


def test_positions_before_the_first_ablated_one_are_not_computed(tiny, monkeypatch):
    model = tiny.bridge("gemma2")
    task = tiny.task(model, lengths=(7, 7))
    game = ComponentGame(model, task, "heads@-2+mlps@-1", executor="fused")
    lengths: set[int] = set()
    attend = dense_pass.DensePass._attend

    def watched(self: Any, index: int, a: Any, x: torch.Tensor, *more: Any) -> torch.Tensor:
        lengths.add(x.shape[2])
        return attend(self, index, a, x, *more)

    masks = np.random.default_rng(0).random((5, game.n_players)) < 0.5
    game.evaluate(masks)  # keys and values of the positions before are computed here
    monkeypatch.setattr(dense_pass.DensePass, "_attend", watched)
    game.evaluate(masks)
    assert lengths == {2}


@pytest.mark.some(3)
def test_checkpointing_changes_no_gradient(tiny, model, family, monkeypatch):
    if family == "mixtral":
        pytest.skip("not a dense model")
    task = tiny.task(model, lengths=(5, 4, 5))
    plain = ComponentGame(model, task, "heads+mlps")
    gates, seed = fresh(plain.n_players)
    expected = plain.evaluate(gates, gradients=True)
    monkeypatch.setattr(engine, "_FEW_ROWS", 10**6)
    careful = ComponentGame(model, task, "heads+mlps")
    run = careful.evaluate(gates, gradients=True)
    assert careful._engine._groups[0].forward.checkpointing
    np.testing.assert_allclose(run.gradients, expected.gradients, atol=1e-5, err_msg=f"seed {seed}")


def test_products_in_bfloat16_are_near(tiny, model, family):
    if family == "mixtral":
        pytest.skip("not a dense model")
    task = tiny.task(model, metric=raw_logit)
    exact = ComponentGame(model, task, "heads+mlps")
    near = ComponentGame(model, task, "heads+mlps", precision="bfloat16")
    assert near.executor.endswith("products in bfloat16")
    gates, seed = fresh(exact.n_players)
    a, b = exact.evaluate(gates).per_prompt, near.evaluate(gates, gradients=True)
    # bfloat16 keeps 8 bits; a dozen products of random weights add up to some hundredths of the spread.
    error = np.sqrt(np.mean((a - b.per_prompt) ** 2)) / a.std()
    assert 0 < error < 0.2, f"seed {seed}"
    assert np.isfinite(b.gradients).all()


def test_the_plan_says_what_is_shared(tiny):
    model = tiny.bridge("llama")
    task = tiny.task(model, lengths=(7, 7, 5))
    game = ComponentGame(model, task, "L2.heads+L1.heads@-1")
    masks = np.ones((5, 8), dtype=bool)
    masks[0, 4:] = masks[1, 4:] = False
    masks[2, 1] = False
    plan = game.plan(masks)
    text = plan.explain()
    assert "5 masks (2 repeated, not run again)" in text
    assert "2 prompts of 7 tokens: 1 batches of at most 3 masks" in text
    assert "fused: shared and ablated work is skipped" in text
    assert 0 < plan.cost < 1
    tail = game.plan(masks[:1])
    assert "the first layer once a prompt and keys and values of the first 6 positions once a prompt" in tail.explain()
    assert game.plan(masks, gradients=True).cost > plan.cost
    np.testing.assert_allclose(
        game.evaluate(masks).per_prompt,
        ComponentGame(model, task, "L2.heads+L1.heads@-1", executor="hooks").evaluate(masks).per_prompt,
        atol=1e-4,
    )


def test_an_overflow_in_half_precision_is_called_that(tiny):
    model = tiny.fresh_bridge("llama", dtype=torch.float16)
    game = ComponentGame(model, tiny.task(model), "heads", "zero", executor="batched")
    with torch.no_grad():
        model.unembed.original_component.weight.mul_(2e5)
    with pytest.raises(
        TaskError, match=r"overflowed in float16, which holds numbers up to 6\.55e\+04; load the model in float32"
    ):
        game.evaluate(np.ones((1, game.n_players), dtype=bool))
