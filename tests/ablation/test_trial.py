"""The trial of the fast way: right models are taken in every dtype, and whatever was misread is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.ablation import engine
from circuitspex.ablation.executors import agreement, fused, prefix
from circuitspex.ablation.executors.dense import DenseLayer, DenseModel
from circuitspex.ablation.executors.linear import Linear
from circuitspex.ablation.executors.trial_masks import trial_gates
from circuitspex.ablation.sites import sites_of
from circuitspex.components import model_structure, select
from circuitspex.games import ComponentGame
from circuitspex.models.load import _bridge

HALF = [torch.bfloat16, torch.float16]
DTYPES = [*HALF, torch.float32]


def first_layer(change: Callable[[DenseLayer], DenseLayer]) -> Callable[[DenseModel], DenseModel]:
    return lambda dense: replace(dense, layers=(change(dense.layers[0]), *dense.layers[1:]))


def attention(**fields: Any) -> Callable[[DenseModel], DenseModel]:
    return first_layer(lambda layer: replace(layer, attention=replace(layer.attention, **fields)))


def without_bias(part: Linear) -> Linear:
    assert part.bias is not None
    return Linear(part.weight, None)


def swapped(layer: DenseLayer) -> DenseLayer:
    mlp = layer.mlp
    return replace(layer, mlp=replace(mlp, up=mlp.gate, gate=mlp.up, joined=None))


def joined_the_other_way(layer: DenseLayer) -> DenseLayer:
    mlp = layer.mlp
    return replace(layer, mlp=replace(mlp, joined=Linear(torch.cat([mlp.up.weight, mlp.gate.weight]), None)))


FAULTS: dict[str, tuple[str, Callable[[DenseModel], DenseModel]]] = {
    "scale": ("llama", lambda dense: attention(scale=1.3 * dense.layers[0].attention.scale)(dense)),
    "soft cap": ("gemma2", lambda dense: replace(dense, softcap=0.0)),
    "norm left out": ("llama", first_layer(lambda layer: replace(layer, norm_2=lambda x: x))),
    "last norm of GPT-2 without its weight": (
        "gpt2",
        lambda dense: replace(dense, norm=lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:])),
    ),
    "post norm left out": ("gemma3", first_layer(lambda layer: replace(layer, post_2=None))),
    "query norm left out": ("qwen3", attention(q_norm=None)),
    "gate and up swapped": ("llama", first_layer(swapped)),
    "gate and up joined the other way": ("llama", first_layer(joined_the_other_way)),
    "bias missing": (
        "qwen2",
        first_layer(
            lambda layer: replace(
                layer, attention=replace(layer.attention, v=without_bias(layer.attention.v), joined=None)
            )
        ),
    ),
    "bias of the output missing": (
        "gpt2",
        first_layer(lambda layer: replace(layer, mlp=replace(layer.mlp, out=without_bias(layer.mlp.out)))),
    ),
    "not parallel": ("gpt_neox", first_layer(lambda layer: replace(layer, parallel=False))),
}


@pytest.mark.some(6)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_misread_is_refused(tiny, monkeypatch, dtype, fault):
    family, plant = FAULTS[fault]
    model = tiny.bridge(family, dtype)
    right = agreement.dense_model
    monkeypatch.setattr(agreement, "dense_model", lambda *given, **options: plant(right(*given, **options)))
    monkeypatch.setattr(agreement, "_known", {})
    game = ComponentGame(model, tiny.task(model), "heads+mlps", "zero")
    assert "not fused: a trial pass gave other logits than plain hooks" in game.executor


@pytest.mark.parametrize("dtype", DTYPES)
def test_wrong_rotary_positions_are_refused(tiny, monkeypatch, dtype):
    model = tiny.bridge("llama", dtype)
    right = engine.clean_pass

    def wrong(*given: Any) -> Any:
        found = right(*given)
        return replace(found, positions=tuple(replace(each, sin=-each.sin) for each in found.positions))

    for module in (engine, agreement):
        monkeypatch.setattr(module, "clean_pass", wrong)
    game = ComponentGame(model, tiny.task(model), "heads+mlps", "zero")
    assert "not fused: a trial pass gave other logits than plain hooks" in game.executor


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_way_that_is_wrong_in_half_precision_only_is_refused(tiny, monkeypatch, dtype, rows):
    """As a kernel would be: the parts are read rightly, and under one mask the numbers are off."""
    model = tiny.bridge("llama", dtype)
    right = fused.FusedForward.__call__

    def wrong(self: Any, gates: torch.Tensor, *more: Any) -> torch.Tensor:
        logits = right(self, gates, *more)
        if logits.dtype == dtype:
            part = logits.unflatten(0, (len(gates), -1))[rows]
            part += 0.3 * part.std() * torch.randn(part.shape, dtype=dtype)
        return logits

    monkeypatch.setattr(fused.FusedForward, "__call__", wrong)
    game = ComponentGame(model, tiny.task(model), "heads+mlps", "zero")
    assert "where plain hooks have" in game.executor


@pytest.mark.some(6)
@pytest.mark.parametrize("dtype", HALF)
def test_every_dense_family_is_taken_in_half_precision(tiny, family, dtype):
    if family == "mixtral":
        pytest.skip("not a dense model")
    model = tiny.bridge(family, dtype)
    for selector in ("heads+mlps", "L1.heads@2+L2.mlps@3+L2.neurons:16@-1"):
        game = ComponentGame(model, tiny.task(model, lengths=(6, 4, 6, 6)), selector)
        assert game.executor == "fused: shared and ablated work is skipped"


@pytest.mark.some(3)
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("shape", [(2, 256), (16, 128), (16, 256)])
def test_deep_and_wide_models_are_taken_in_half_precision(tiny, dtype, shape):
    """Weights large enough that 16 layers amplify rounding to some percent of the logits."""
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    n_layers, width = shape
    family = str(rng.choice(["llama", "qwen3", "gemma2"]))
    fields = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": n_layers}
    if family != "llama":
        fields["head_dim"] = width // 4
    original = tiny.hf_model(family, torch.float32, seed, **fields)
    gain = rng.choice([width**-0.5, 0.1, 0.3])
    with torch.no_grad():
        for parameter in original.parameters():
            if parameter.ndim > 1:
                parameter.mul_(gain / 0.3)
    model = _bridge("deep", original.to(dtype), tiny.tokenizer, dtype, torch.device("cpu"))
    game = ComponentGame(model, tiny.task(model, lengths=(6, 6), seed=seed), "heads", "zero")
    assert game.executor == "fused: shared and ablated work is skipped", f"{family}, gain {gain}, seed {seed}"


@pytest.mark.parametrize("selector", ["heads+mlps", "heads", "mlps+neurons:8", "L1.heads@2+L2.mlps@3", "L2H1"])
def test_the_masks_take_every_path(tiny, selector):
    structure = model_structure(tiny.bridge("llama"))
    components = select(structure, selector)
    gates = trial_gates(sites_of(structure, components), len(components))
    assert gates.shape == (3, len(components) + 1)
    assert (gates[2] == 1).all()
    assert (gates[:, -1] == 1).all()
    assert gates[1].unique().tolist() in ([0, 1], [1])
    if len(components) > 4:
        assert {0, 1} < set(gates[0].tolist())
        assert (gates[1] == 0).any()
    for player, component in enumerate(components):
        if component.kind == "mlp":
            assert sorted((gates[:2, player] == 0).tolist()) == [False, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_trial_runs_several_masks_at_once(tiny, monkeypatch, dtype):
    model = tiny.bridge("llama", dtype)
    shapes = []
    right = fused.FusedForward.__call__

    def noted(self: Any, gates: torch.Tensor, prompts: slice, *more: Any) -> torch.Tensor:
        if gates.dtype == dtype:
            shapes.append((len(gates), len(range(100)[prompts])))
        return right(self, gates, prompts, *more)

    monkeypatch.setattr(fused.FusedForward, "__call__", noted)
    ComponentGame(model, tiny.task(model, lengths=(5, 5, 5, 4)), "heads+mlps", "zero")
    assert shapes == [(2, 1), (2, 1)]
    shapes.clear()
    monkeypatch.setattr(agreement, "_tried", lambda device, n, tried=agreement._tried: tried("cuda", n))
    game = ComponentGame(model, tiny.task(model, lengths=(5, 5, 5, 4)), "heads+mlps", "resample")
    assert game.executor.startswith("fused")
    assert sorted(shapes) == [(3, 1), (3, 2)]


def test_a_trial_takes_what_memory_there_is(tiny, monkeypatch):
    model = tiny.bridge("qwen2")
    right = fused.FusedForward.__call__

    def limited(self: Any, gates: torch.Tensor, *more: Any) -> torch.Tensor:
        if len(gates) > 1:
            raise RuntimeError("CUDA out of memory")
        return right(self, gates, *more)

    monkeypatch.setattr(fused.FusedForward, "__call__", limited)
    assert ComponentGame(model, tiny.task(model), "heads", "zero").executor.startswith("fused")


@pytest.mark.parametrize("dtype", HALF)
def test_a_prefix_is_tried_in_float32(tiny, monkeypatch, dtype):
    model = tiny.bridge("llama", dtype)
    task = tiny.task(model)
    assert ComponentGame(model, task, "heads", executor="batched").executor == "batched hooks, shared prefix"
    right = prefix.Prefix.residual
    # Less than half precision rounds off, and plain to see in float32.
    monkeypatch.setattr(
        prefix.Prefix, "residual", lambda self, layer: right(self, layer) * (1 + 1e-3 * torch.eye(32)[0])
    )
    game = ComponentGame(model, task, "heads", executor="batched")
    assert "no shared prefix: a shortened pass gave other logits" in game.executor


@pytest.mark.some(3)
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize("strict", [False, True])
def test_hooks_of_the_user_that_mix_rows_are_found_in_half_precision(tiny, dtype, mixes, strict):
    model = tiny.fresh_bridge("llama", dtype)
    weight = torch.eye(32, dtype=dtype)

    def edit(z: torch.Tensor, hook: Any) -> torch.Tensor:
        if strict:  # knows the model's dtype only, as a hook with weights of its own does
            z = z @ weight
        return z + z.mean(0, keepdim=True) if mixes else z * 2

    model.add_hook("blocks.1.hook_mlp_out", edit)
    try:
        executor = ComponentGame(model, tiny.task(model), "heads", "zero").executor
    finally:
        model.reset_hooks()
    assert executor.startswith("hooks: one mask at a time; not batched" if mixes else "batched hooks")
