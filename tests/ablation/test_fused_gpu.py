"""The executors on a CUDA device beside each other, in the dtypes that people use there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from circuitspex.games import ComponentGame
from circuitspex.kernels import choice
from circuitspex.masks import sample_masks
from circuitspex.models.load import _bridge, load_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, 7]


@pytest.mark.parametrize("selector", ["heads", "heads+mlps", "mlps+neurons:8", "neurons:16", "heads@-1+mlps@3"])
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fused_gives_what_hooks_give_on_the_gpu(tiny, family, selector, baseline, dtype):
    if family == "mixtral":
        pytest.skip("not a dense model")
    device = torch.device("cuda")
    model = _bridge(f"tiny-{family}", tiny.hf_model(family, dtype).to(device), tiny.tokenizer, dtype, device)
    task = tiny.task(model, lengths=(6, 4, 6), metric=raw_logit)
    fast = ComponentGame(model, task, selector, baseline, executor="fused")
    slow = ComponentGame(model, task, selector, baseline, executor="hooks")
    rng = np.random.default_rng(0)
    gates = rng.random((5, fast.n_players))
    gates[:3] = gates[:3].round()
    a, b = fast.evaluate(gates), slow.evaluate(gates)
    # bfloat16: three layers of products that keep 8 bits, on random weights.
    tolerance = 1e-4 if dtype == torch.float32 else 0.1 * np.abs(b.per_prompt).max()
    np.testing.assert_allclose(a.per_prompt, b.per_prompt, atol=tolerance)
    if dtype == torch.float32:
        a, b = fast.evaluate(gates, gradients=True), slow.evaluate(gates, gradients=True)
        np.testing.assert_allclose(a.gradients, b.gradients, atol=1e-3)
    assert choice._failed == set()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("executor", ["fused", "batched", "hooks"])
def test_a_model_over_two_gpus_gives_what_one_gives(tiny, executor, tmp_path):
    tiny.hf_model("llama").save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    first = ("model.embed_tokens", "model.rotary_emb", "model.layers.0")
    second = ("model.layers.1", "model.layers.2", "model.norm", "lm_head")
    spread = load_model(tmp_path, device_map={**dict.fromkeys(first, 0), **dict.fromkeys(second, 1)})
    whole = load_model(tmp_path, device="cuda:0")
    masks = sample_masks(15, 6)
    values = [
        ComponentGame(model, tiny.task(model, metric=raw_logit), "heads+mlps", executor=executor)(masks)
        for model in (spread, whole)
    ]
    np.testing.assert_allclose(*values, atol=1e-4)
