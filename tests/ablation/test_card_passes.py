"""Passes of few launches beside plain hooks: as plain definitions on the CPU, on a CUDA device as kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from launches import Launches, Reads

from circuitspex.ablation.executors.card import block, forward, lists, plan
from circuitspex.games import ComponentGame
from circuitspex.kernels import choice, work

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
@pytest.mark.some(6)
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


@pytest.mark.some(4)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_what_is_skipped_changes_nothing(tiny, family, baseline, card, monkeypatch):
    monkeypatch.setenv("CIRCUITSPEX_KERNELS", "off")
    for name, value in SMALL.items():
        monkeypatch.setattr(plan, name, value)
    made = []
    listed = forward.layer_works

    def kept(*given: Any) -> Any:
        made.append(listed(*given))
        return made[-1]

    monkeypatch.setattr(forward, "layer_works", kept)
    model = tiny.bridge(family)
    task = tiny.task(model, metric=raw_logit)
    for number, selector in enumerate(
        ("heads+mlps", "L0.heads+L1.neurons:16+L2.neurons:48", "heads+neurons:8", "mlps")
    ):
        fast = ComponentGame(model, task, selector, baseline, executor="fused")
        slow = ComponentGame(model, task, selector, baseline, executor="hooks")
        gates = gates_of(fast.n_players, number)
        np.testing.assert_allclose(fast.evaluate(gates).per_prompt, slow.evaluate(gates).per_prompt, atol=1e-4)
        layers = [layer for each in made for layer in each.values()]
        made.clear()
        if "heads" in selector:
            assert any(layer.head and (layer.head.joint or layer.head.queries) for layer in layers)
            assert any(layer.head and layer.head.blocks for layer in layers)
        if "neurons" in selector:
            assert any(layer.neurons and layer.neurons.rows and layer.neurons.blocks for layer in layers)
        if "mlps" in selector:
            assert any(layer.mlp and layer.mlp.masks is not None for layer in layers)


@pytest.mark.some(2)
@pytest.mark.skipif(torch.cuda.is_available(), reason="test_fused_gpu does it compiled")
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_the_kernels_give_what_hooks_give(tiny, family, card, monkeypatch):
    """In Triton's interpreter."""
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
        counts = (rng.random((256, 16)) < 0.5).sum(0)
        rooms.add(plan.room_for(counts, 256))
        assert counts.max() <= plan.room_for(counts, 256)
    assert len(rooms) == 1, "one recorded pass serves all batches"
    assert rooms.pop() <= 0.65 * 256


@pytest.mark.parametrize("sizes", [(3, 5, 4, 7), (2, 40, 9, 14), (1, 1, 1, 1), (2, 130, 3, 1)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_lists_made_on_the_device_are_those_of_numpy(sizes, share):
    n_layers, n_masks, n_blocks, rows = sizes
    on = np.random.default_rng(0).random((n_layers, n_masks, n_blocks)) < share
    there = torch.from_numpy(on)
    for layer, (found, blocks) in enumerate(
        zip(lists.rows_by_block(there, rows), lists.blocks_by_mask(there), strict=True)
    ):
        plain, plain_blocks = work.block_rows(on[layer], rows), work.mask_blocks(on[layer])
        assert (int(found.n_tiles), found.tile_rows) == (int(plain.n_tiles), plain.tile_rows)
        assert torch.equal(found.tiles[: int(found.n_tiles)], plain.tiles[: int(plain.n_tiles)])
        assert found.tiles.shape == plain.tiles.shape
        assert torch.equal(found.starts - found.starts[0], plain.starts)
        members = found.members[int(found.starts[0]) : int(found.starts[-1])]
        assert torch.equal(members, plain.members[: int(plain.starts[-1])])
        assert torch.equal(blocks.starts - blocks.starts[0], plain_blocks.starts)
        listed = blocks.blocks[int(blocks.starts[0]) : int(blocks.starts[-1])]
        assert torch.equal(listed, plain_blocks.blocks[: int(plain_blocks.starts[-1])])
        assert blocks.n_blocks == n_blocks


def test_masks_that_are_on_lie_beside_each_other():
    on = np.random.default_rng(0).random((4, 50)) < 0.4
    room = int(on.sum(1).max()) + 3
    masks, slots = lists.beside(torch.from_numpy(on), room)
    for row in range(4):
        kept = np.nonzero(on[row])[0]
        assert masks[row].tolist() == kept.tolist() + [0] * (room - len(kept))
        assert slots[row].tolist() == [
            int(np.nonzero(kept == mask)[0][0]) if on[row, mask] else -1 for mask in range(50)
        ]


@pytest.mark.some(4)
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
