"""Passes of few launches beside plain hooks: as plain definitions on the CPU, on a CUDA device as kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from launches import Launches, Reads

from circuitspex.ablation.executors.card import block, forward, plan
from circuitspex.games import ComponentGame
from circuitspex.kernels import choice

FAMILIES = ["llama", "gemma2", "gpt2", "gpt_neox", "qwen3"]


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, 7]


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Whatever the device and dtype, passes run as they do on a card; how many masks each had is noted."""
    seen: list[int] = []
    monkeypatch.setattr(forward, "runs_on", lambda weight: True)
    run = forward.CardForward.__call__

    def noted(self: Any, host: Any, *more: Any) -> Any:
        seen.append(len(host))
        return run(self, host, *more)

    monkeypatch.setattr(forward.CardForward, "__call__", noted)
    return seen


def gates_of(n_players: int, seed: int, keep: float = 0.5) -> np.ndarray:
    """Six masks: binary, between, all on and all off."""
    rng = np.random.default_rng(seed)
    gates = rng.random((6, n_players))
    gates[:3] = gates[:3] < keep
    gates[3][rng.random(n_players) < 0.3] = 0
    gates[4], gates[5] = 1, 0
    return gates


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
def test_card_passes_give_what_hooks_give(tiny, family, baseline, card, monkeypatch):
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    model = tiny.bridge(family)
    task = tiny.task(model, metric=raw_logit)
    for number, selector in enumerate(
        ("heads", "heads+mlps", "mlps", "L1.heads+neurons:8", "heads@-1+mlps@3", "neurons:16@-2+L1M", "L2M")
    ):
        fast = ComponentGame(model, task, selector, baseline, executor="fused")
        slow = ComponentGame(model, task, selector, baseline, executor="hooks")
        gates = gates_of(fast.n_players, number)
        before = len(card)
        np.testing.assert_allclose(fast.evaluate(gates).per_prompt, slow.evaluate(gates).per_prompt, atol=1e-4)
        assert len(card) > before, fast._engine._groups[0].forward.why_no_kernels
    assert choice._failed == set()


SMALL = {"LEAST_ROWS": 1, "LEAST_NEURONS": 8, "MOST_KEPT": 0.95}
"""Limits at which even tiny models skip all that can be skipped."""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_what_is_skipped_changes_nothing(tiny, family, baseline, card, monkeypatch):
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    for name, value in SMALL.items():
        monkeypatch.setattr(plan, name, value)
    made = []
    planned = plan.card_plan

    def kept(*given: Any, **more: Any) -> Any:
        made.append(planned(*given, **more))
        return made[-1]

    monkeypatch.setattr(forward, "card_plan", kept)
    model = tiny.bridge(family)
    task = tiny.task(model, metric=raw_logit)
    for number, selector in enumerate(
        ("heads+mlps", "L0.heads+L1.neurons:16+L2.neurons:48", "heads+neurons:8", "mlps")
    ):
        fast = ComponentGame(model, task, selector, baseline, executor="fused")
        slow = ComponentGame(model, task, selector, baseline, executor="hooks")
        gates = gates_of(fast.n_players, number)
        np.testing.assert_allclose(fast.evaluate(gates).per_prompt, slow.evaluate(gates).per_prompt, atol=1e-4)
        layers = [layer for each in made for layer in each.layers]
        made.clear()
        if "heads" in selector:
            assert any(layer.head and (layer.head.joint or layer.head.queries) for layer in layers)
            assert any(layer.head and layer.head.blocks for layer in layers)
        if "neurons" in selector:
            assert any(layer.neurons and layer.neurons.rows and layer.neurons.blocks for layer in layers)
        if "mlps" in selector:
            assert any(layer.mlp and layer.mlp.masks for layer in layers)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_the_kernels_give_what_hooks_give(tiny, family, card, monkeypatch):
    """In Triton's interpreter, or compiled where there is a CUDA device."""
    pytest.importorskip("triton")
    from circuitspex.kernels.launchers import LAUNCHERS

    for name, value in SMALL.items():
        monkeypatch.setattr(plan, name, value)
    ran = set()
    for name, launch in list(LAUNCHERS.items()):
        monkeypatch.setitem(
            LAUNCHERS, name, lambda *given, name=name, launch=launch: (ran.add(name), launch(*given))[1]
        )
    monkeypatch.setattr(choice, "_failed", set())
    model = tiny.bridge(family)
    task = tiny.task(model, lengths=(6, 6), metric=raw_logit)
    for number, selector in enumerate(("heads+mlps", "L0.heads+L1.neurons:16+L2.heads")):
        fast = ComponentGame(model, task, selector, "mean", executor="fused")
        slow = ComponentGame(model, task, selector, "mean", executor="hooks")
        gates = gates_of(fast.n_players, number)[[0, 3]]
        np.testing.assert_allclose(fast.evaluate(gates).per_prompt, slow.evaluate(gates).per_prompt, atol=1e-4)
    assert ran == set(LAUNCHERS)
    assert choice._failed == set(), "a kernel gave way to plain PyTorch, so nothing was compared"


def test_room_for_mlps_is_a_bound_that_batches_share():
    rng = np.random.default_rng(0)
    rooms = set()
    for _ in range(50):
        sites = {(layer, "mlp"): (rng.random((256, 1, 1)) < 0.5).astype(float) for layer in range(16)}
        rooms.add(plan._room(sites, 256))
        assert max(int(values.sum()) for values in sites.values()) <= plan._room(sites, 256)
    assert len(rooms) == 1, "one recorded pass serves all batches"
    assert rooms.pop() <= 0.65 * 256


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("selector", ["heads+mlps", "heads", "L0.heads+L1.neurons:16+L2.neurons:48", "neurons:1"])
@pytest.mark.parametrize("limits", [{}, SMALL])
def test_few_launches_a_layer_and_no_waiting(tiny, family, selector, limits, card, monkeypatch):
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    for name, value in limits.items():
        monkeypatch.setattr(plan, name, value)
    model = tiny.bridge(family)
    game = ComponentGame(model, tiny.task(model, metric=raw_logit), selector, "mean", executor="fused")
    gates = gates_of(game.n_players, 0)
    game.evaluate(gates)  # what is computed once is there now
    group = game._engine._groups[0].forward
    padded = torch.tensor(np.pad(gates, ((0, 0), (0, 1)), constant_values=1), dtype=torch.float32)
    layers: list[list[str]] = []
    run = block.CardBlock.__call__

    def noted(self: Any, *given: Any) -> Any:
        before = len(launches.names)
        found = run(self, *given)
        layers.append(launches.names[before:])
        return found

    monkeypatch.setattr(block.CardBlock, "__call__", noted)
    launches, reads = Launches(), Reads()
    with reads, launches, torch.no_grad():
        group(padded, slice(0, len(game._engine._groups[0].task)), 0, 0, host=gates)
    assert len(layers) == 2, "the first block parts the masks, the other two are run for each"
    assert max(map(len, layers)) <= 12, layers
    assert launches.waits == [], launches.waits
    assert reads.names == [], reads.names


def test_what_waits_is_seen():
    launches, reads = Launches(), Reads()
    x = torch.ones(4)
    with reads, launches:
        x[x > 0] += 1
        x.nonzero()
        assert bool((x == 2).all())
        x.cpu()
        x.to("cpu")
        x.view(2, 2)
    assert {"index", "nonzero", "_local_scalar_dense"} <= set(launches.waits)
    assert {"cpu", "to", "__bool__"} <= set(reads.names)
    assert "view" not in launches.names
