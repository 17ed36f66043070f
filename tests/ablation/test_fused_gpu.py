"""The executors on a CUDA device beside each other, in the dtypes that people use there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.ablation.executors.card import plan
from circuitspex.games import ComponentGame
from circuitspex.kernels import choice
from circuitspex.masks import sample_masks
from circuitspex.models.load import _bridge, load_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def raw_logit(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, 7]


def on_gpu(tiny, family: str, dtype: torch.dtype) -> Any:
    """A model with weights that bfloat16 holds exactly, so that in another dtype it is the same function."""
    device = torch.device("cuda")
    made = tiny.hf_model(family, torch.bfloat16).to(device, dtype)
    return _bridge(f"tiny-{family}", made, tiny.tokenizer, dtype, device)


def some_gates(n_players: int, n_masks: int = 5) -> np.ndarray:
    rng = np.random.default_rng(0)
    gates = rng.random((n_masks, n_players))
    gates[: n_masks - 2] = gates[: n_masks - 2].round()
    return gates


@pytest.mark.parametrize("selector", ["heads", "heads+mlps", "mlps+neurons:8", "neurons:16", "heads@-1+mlps@3"])
@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
def test_float32_gives_what_hooks_give_on_the_gpu(tiny, family, selector, baseline):
    if family == "mixtral":
        pytest.skip("not a dense model")
    model = on_gpu(tiny, family, torch.float32)
    task = tiny.task(model, lengths=(6, 4, 6), metric=raw_logit)
    fast = ComponentGame(model, task, selector, baseline, executor="fused")
    slow = ComponentGame(model, task, selector, baseline, executor="hooks")
    gates = some_gates(fast.n_players)
    np.testing.assert_allclose(fast.evaluate(gates).per_prompt, slow.evaluate(gates).per_prompt, atol=1e-4)
    a, b = fast.evaluate(gates, gradients=True), slow.evaluate(gates, gradients=True)
    np.testing.assert_allclose(a.gradients, b.gradients, atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "gpt_neox", "qwen3"])
@pytest.mark.parametrize(
    ("selector", "baseline", "dtype"),
    [
        ("heads+mlps", "mean", torch.bfloat16),
        ("heads+mlps", "zero", torch.float16),
        ("heads+neurons:8", "resample", torch.bfloat16),
        ("heads@-1+mlps@3", "mean", torch.bfloat16),
    ],
)
@pytest.mark.parametrize("skip", [False, True])  # what is skipped in large models only; each way compiles other kernels
def test_kernels_are_as_near_to_float32_as_hooks_are(tiny, family, selector, baseline, dtype, skip, monkeypatch):
    """Twice the error of plain hooks in the same dtype is allowed, and a unit in the last place of the largest."""
    if skip:
        for name, value in {"LEAST_ROWS": 1, "LEAST_NEURONS": 8, "MOST_KEPT": 0.95}.items():
            monkeypatch.setattr(plan, name, value)
    exact_model, model = on_gpu(tiny, family, torch.float32), on_gpu(tiny, family, dtype)
    task = tiny.task(model, lengths=(6, 4, 6), metric=raw_logit)
    exact = ComponentGame(
        exact_model, tiny.task(exact_model, lengths=(6, 4, 6), metric=raw_logit), selector, baseline, executor="hooks"
    )
    fast = ComponentGame(model, task, selector, baseline, executor="fused")
    slow = ComponentGame(model, task, selector, baseline, executor="hooks")
    forwards = [group.forward for group in fast._engine._groups]
    assert all(forward.why_no_kernels is None for forward in forwards)
    gates = some_gates(fast.n_players)
    expected = exact.evaluate(gates).per_prompt

    def error(game: ComponentGame) -> float:
        return float(np.sqrt(np.mean((game.evaluate(gates).per_prompt - expected) ** 2)))

    allowed = 2 * error(slow) + torch.finfo(dtype).eps * float(np.abs(expected).max())
    assert error(fast) <= allowed  # run launch by launch
    assert error(fast) <= allowed  # recorded
    assert error(fast) <= allowed  # replayed
    assert any(forward._card._graphs._kept for forward in forwards), "no pass was recorded"
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
