"""The fast way with the fused kernels: compiled on a GPU, else in Triton's interpreter, beside plain hooks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from circuitspex import kernels
from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.games import ComponentGame
from circuitspex.kernels import choice


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, 7]


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neox", "qwen3"])
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
def test_kernels_give_what_hooks_give(tiny, family, baseline, monkeypatch):
    pytest.importorskip("triton")
    model = tiny.bridge(family)
    if not torch.cuda.is_available():
        monkeypatch.setattr(FusedForward, "use_kernels", lambda self, x: True)
    task = tiny.task(model, metric=raw_logit)
    skipped = []
    plain = kernels.gated_input_projection

    def noted(x, gates, weight, bias=None):
        if len(weight) == tiny.n_neurons and gates.shape[1] in (1, 3):
            skipped.append(gates)
        return plain(x, gates, weight, bias)

    monkeypatch.setattr(kernels, "gated_input_projection", noted)
    rng = np.random.default_rng(0)
    for selector in ("heads", "L1.heads+neurons:8", "L0.heads+L1.neurons:16+L2.neurons:48"):
        fast = ComponentGame(model, task, selector, baseline, executor="fused")
        gates = rng.random((4, fast.n_players))
        gates[:2] = gates[:2].round()
        slow = ComponentGame(model, task, selector, baseline, executor="hooks")
        np.testing.assert_allclose(fast.evaluate(gates).per_prompt, slow.evaluate(gates).per_prompt, atol=1e-4)
    assert skipped, "no kernel was asked to skip groups of neurons"
    assert choice._failed == set(), "a kernel gave way to plain PyTorch, so nothing was compared"
