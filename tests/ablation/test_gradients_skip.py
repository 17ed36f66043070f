"""No backward pass goes through MLPs that are off, and the slopes are those of plain hooks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.ablation import engine
from circuitspex.ablation.executors import dense, dense_pass
from circuitspex.games import ComponentGame

FAMILIES = ["llama", "gpt2", "gpt_neox", "gemma2"]
SELECTORS = ["heads+mlps", "mlps+neurons:16", "mlps", "L0.heads@1+mlps", "L1.heads+L2.mlps@-1+L1.mlps"]


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, 7]


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows there are."""
    monkeypatch.setattr(dense_pass, "_FEW_ROWS", {"cpu": 0, "other": 0})


def gates_of(game: ComponentGame, seed: int) -> np.ndarray:
    """MLPs all off, all on, between, and any of these, with heads and neurons of all kinds."""
    rng = np.random.default_rng(seed)
    shape = (9, game.n_players)
    gates = np.where(rng.random(shape) < 0.6, rng.random(shape).round(), rng.random(shape))
    mlps = [player for player, component in enumerate(game.components) if component.kind == "mlp"]
    gates[np.ix_([0, 1, 2], mlps)] = [[0], [1], [0.4]]
    gates[3], gates[4] = 0, 1
    return gates


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("baseline", ["zero", "resample"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.some(12)
def test_slopes_are_those_of_plain_hooks(tiny, family, selector, baseline, checkpointing, monkeypatch, request):
    if checkpointing:
        monkeypatch.setattr(engine, "_FEW_ROWS", 10**6)
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")
    task = tiny.task(model, lengths=(5, 5, 4), metric=raw_logit)
    fast = ComponentGame(model, task, selector, baseline, executor="fused")
    slow = ComponentGame(model, task, selector, baseline, executor="hooks")
    seed = int(np.random.default_rng().integers(2**31))
    gates = gates_of(fast, seed)
    for some in (gates, gates[[0, 3]], gates[[1, 4]], gates[[0, 1]], gates[:1], gates[5:]):
        found, expected = (game.evaluate(some, gradients=True) for game in (fast, slow))
        np.testing.assert_allclose(found.gradients, expected.gradients, atol=1e-9, rtol=1e-7, err_msg=f"seed {seed}")
        np.testing.assert_allclose(found.per_prompt, expected.per_prompt, atol=1e-9, err_msg=f"seed {seed}")
    assert fast._engine._groups[0].forward.checkpointing == checkpointing


def test_slopes_at_gates_of_0_are_finite_differences(tiny, request):
    model = tiny.bridge("llama", torch.float64)
    request.getfixturevalue("exact")
    game = ComponentGame(model, tiny.task(model, metric=raw_logit), "L1.heads+mlps", "resample", executor="fused")
    gates = np.random.default_rng(2).random((2, game.n_players))
    gates[:, -3:] = [[0, 0.5, 0], [0, 0, 0]]
    step = 1e-5
    slopes = game.evaluate(gates, gradients=True).gradients
    for row, found in zip(gates, slopes, strict=True):
        # Forward differences of second order: gates below 0 are refused.
        steps = step * np.eye(game.n_players)
        base, near, far = (game.evaluate(np.minimum(row + times * steps, 1)).values for times in (0, 1, 2))
        np.testing.assert_allclose(found, (4 * near - far - 3 * base) / (2 * step), atol=1e-5, rtol=1e-5)
    assert np.abs(slopes[:, -3:]).min() > 1e-4


@pytest.mark.parametrize("checkpointing", [False, True])
def test_only_masks_whose_mlp_is_on_have_a_graph(tiny, monkeypatch, checkpointing):
    if checkpointing:
        monkeypatch.setattr(engine, "_FEW_ROWS", 10**6)
    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model), "L0.heads+mlps", executor="fused")
    gates = np.full((5, game.n_players), 0.5)
    gates[:, -3:] = [[1, 0, 0], [0.5, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0.2, 0]]
    seen: list[tuple[int, bool]] = []
    neurons = dense.DenseMLP.neurons

    def noted(self: Any, x: torch.Tensor) -> torch.Tensor:
        seen.append((len(x), torch.is_grad_enabled() and x.requires_grad))
        return neurons(self, x)

    monkeypatch.setattr(dense.DenseMLP, "neurons", noted)
    game.evaluate(gates, gradients=True)
    first, second, third = [(3, True), (2, False)], [(2, True), (3, False)], [(5, False)]
    if checkpointing:  # a checkpoint runs once without gradients, and once more for the backward pass
        assert seen[-5:] in ([*third, *second, *first], [*first, *second, *third])
    else:
        assert seen == [*first, *second, *third]


def test_few_rows_are_not_taken_apart(tiny, monkeypatch):
    monkeypatch.setattr(dense_pass, "_FEW_ROWS", {"cpu": 32, "other": 32})
    model = tiny.bridge("llama")
    game = ComponentGame(model, tiny.task(model, lengths=(5, 5)), "L0.heads+L1.mlps", executor="fused")
    sizes: list[int] = []
    neurons = dense.DenseMLP.neurons
    monkeypatch.setattr(dense.DenseMLP, "neurons", lambda self, x: sizes.append(len(x)) or neurons(self, x))
    gates = np.random.default_rng(0).random((18, game.n_players))
    gates[::2, -1] = 0
    game.evaluate(gates[:6], gradients=True)
    assert sizes == [6, 6, 6]  # 3 masks times 10 tokens are off
    sizes.clear()
    game.evaluate(gates, gradients=True)
    assert sizes == [18, 9, 9, 18]
