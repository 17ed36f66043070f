"""The fast pass over edges on a CUDA device, beside the same on the CPU and beside hooks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from circuitspex import EdgeGame
from circuitspex.models.load import _bridge

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

TOLERANCE = 2e-4
"""Of logits of size 1 to 5 in float32; two devices sum in another order."""


def on(tiny: Any, family: str, device: str) -> Any:
    made = tiny.hf_model(family, torch.float32).to(device)
    return _bridge(f"tiny-{family}", made, tiny.tokenizer, torch.float32, torch.device(device))


@pytest.mark.parametrize("edges", ["edges", "edges:ungrouped"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2", "qwen3", "phi3"])
def test_both_devices_and_hooks_give_the_same(tiny, edge_task, some_gates, family, edges):
    there, here = on(tiny, family, "cuda"), on(tiny, family, "cpu")
    fast = EdgeGame(there, edge_task(there), edges)
    plain = EdgeGame(here, edge_task(here), edges)
    by_hooks = EdgeGame(there, edge_task(there), edges, executor="hooks")
    assert fast.executor.startswith("fused")
    gates = some_gates(fast.n_players, seed=8)
    run, expected = fast.evaluate(gates, gradients=True), plain.evaluate(gates, gradients=True)
    np.testing.assert_allclose(run.per_prompt, expected.per_prompt, atol=TOLERANCE)
    np.testing.assert_allclose(run.gradients, expected.gradients, atol=TOLERANCE)
    np.testing.assert_allclose(by_hooks.evaluate(gates).per_prompt, expected.per_prompt, atol=TOLERANCE)


@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_positions_and_other_baselines(tiny, edge_task, baseline):
    chosen = ["*->L2M@-1", "L0H1->L1H0", "L0M->L1M", "emb->L1H2.q@-2"]
    there, here = on(tiny, "llama", "cuda"), on(tiny, "llama", "cpu")
    fast, plain = (EdgeGame(model, edge_task(model), chosen, baseline) for model in (there, here))
    gates = np.random.default_rng(9).random((4, fast.n_players))
    run, expected = fast.evaluate(gates, gradients=True), plain.evaluate(gates, gradients=True)
    np.testing.assert_allclose(run.per_prompt, expected.per_prompt, atol=TOLERANCE)
    np.testing.assert_allclose(run.gradients, expected.gradients, atol=TOLERANCE)


def test_memory_stays_within_what_was_chosen(tiny, edge_task):
    """Batches take at most half of what is free; a pass that needs more would be halved, not fail."""
    model = on(tiny, "llama", "cuda")
    game = EdgeGame(model, edge_task(model))
    masks = np.random.default_rng(1).random((300, game.n_players)) < 0.8
    torch.cuda.reset_peak_memory_stats()
    free = torch.cuda.mem_get_info()[0]
    before = torch.cuda.memory_allocated()
    game.evaluate(masks, gradients=True, progress=False)
    assert torch.cuda.max_memory_allocated() - before < 0.55 * free
