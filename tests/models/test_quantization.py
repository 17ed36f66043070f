"""Weights of few bits: what is refused before anything is read, what is computed with them, and which model it is."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from few_bits import in_few_bits, with_scales_beside

from circuitspex.errors import UserError
from circuitspex.games import ComponentGame, EdgeGame
from circuitspex.models import load_model, model_identity
from circuitspex.models.identity import weights_hash
from circuitspex.models.quantization import QUANTIZATIONS


@pytest.fixture
def every_package(monkeypatch):
    look = importlib.util.find_spec
    ours = ("torchao", "bitsandbytes")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: name in ours or look(name, *more))


@pytest.fixture
def nothing_read(monkeypatch):
    module = sys.modules["circuitspex.models.load"]
    monkeypatch.setattr(module, "_read", lambda *args: pytest.fail("a model was read"))


@pytest.mark.parametrize(("name", "package"), [("8bit", "torchao"), ("4bit", "bitsandbytes")])
def test_a_package_that_is_not_installed_is_named_first(folder, monkeypatch, nothing_read, name, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == package else object())
    with pytest.raises(UserError, match=rf"'{name}' needs {package}, .*: pip install 'circuitspex\[quantization\]'$"):
        load_model(folder, quantization=name)


def test_what_can_not_be_quantised_is_said_before_anything_is_read(folder, tmp_path, every_package, nothing_read, tiny):
    with pytest.raises(UserError, match="unknown quantization '3bit'; allowed: 8bit, 4bit"):
        load_model(folder, quantization="3bit")
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match=r"not for GGUF files: some\.gguf is quantised already"):
        load_model(tmp_path / "some.gguf", quantization="8bit")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    about = {"base_model_name_or_path": str(folder), "peft_type": "LORA"}
    (adapter / "adapter_config.json").write_text(json.dumps(about))
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="can't go with the adapter"):
        load_model(adapter, quantization="8bit")
    with pytest.raises(UserError, match="revision, device_map and quantization are for models that are loaded from"):
        load_model(tiny.hf_model("llama"), quantization="8bit")


def test_weights_are_not_quantised_twice(folder, every_package):
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"are quantised already \(by gptq\); leave out quantization='4bit'"):
        load_model(folder, quantization="4bit")


@pytest.mark.some(3)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("executor", ["hooks", "batched", "fused"])
def test_ablations_are_those_of_the_plain_module_with_plain_hooks(tiny, dtype, executor):
    hf_model = in_few_bits(tiny.hf_model("llama", dtype))
    bridge = load_model(hf_model, tokenizer=tiny.tokenizer)
    task = tiny.task(bridge, lengths=(5, 5))
    game = ComponentGame(bridge, task, "heads+mlps", "zero", executor=executor)
    assert game.executor.startswith(executor)
    masks = np.random.default_rng(1).random((7, game.n_players)) < 0.6
    found = game.evaluate(masks, gradients=True)
    [group] = task.groups
    for mask, values in zip(masks, found.per_prompt, strict=True):
        logits = with_plain_hooks(hf_model, game.components, mask, group.tokens)[:, -1].double()
        answers = torch.stack([logits[i, group.answers[i]] - logits[i, group.wrong_answers[i]] for i in range(2)])
        # The orders of sums differ, and three layers amplify what bfloat16 rounds off.
        close = 1e-4 if dtype == torch.float32 else 0.15 * float(logits.std())
        np.testing.assert_allclose(values, answers.flatten().numpy(), atol=close)
    assert np.abs(found.gradients).max() > 0


def with_plain_hooks(hf_model, components, mask, tokens):
    """The logits of a Llama with what a mask leaves out set to zero."""
    off = [component for component, kept in zip(components, mask, strict=True) if not kept]
    handles = []
    for index, layer in enumerate(hf_model.model.layers):
        heads = [each.start for each in off if each.layer == index and each.kind == "head"]
        width = layer.self_attn.head_dim

        def no_heads(module, args, heads=heads, width=width):
            z = args[0].clone()
            for head in heads:
                z[..., head * width : (head + 1) * width] = 0
            return (z,)

        handles.append(layer.self_attn.o_proj.register_forward_pre_hook(no_heads))
        if any(each.layer == index and each.kind == "mlp" for each in off):
            handles.append(layer.mlp.register_forward_hook(lambda module, args, output: torch.zeros_like(output)))
    try:
        with torch.no_grad():
            return hf_model(tokens, use_cache=False).logits
    finally:
        for handle in handles:
            handle.remove()


def test_what_needs_matrices_says_that_there_are_none(tiny):
    bridge = load_model(in_few_bits(tiny.hf_model("llama")), tokenizer=tiny.tokenizer)
    task = tiny.task(bridge)
    assert "its weights are quantised" in EdgeGame(bridge, task, "edges->logits").executor
    with pytest.raises(UserError, match="precision 'bfloat16' is not for this model: its weights are quantised"):
        ComponentGame(bridge, task, "heads", precision="bfloat16")


def test_quantised_weights_are_a_model_of_their_own(tiny):
    plain = load_model(tiny.hf_model("llama"), tokenizer=tiny.tokenizer)
    one, again = (load_model(in_few_bits(tiny.hf_model("llama")), tokenizer=tiny.tokenizer) for _ in range(2))
    assert model_identity(one) == model_identity(again) != model_identity(plain)
    game = ComponentGame(one, tiny.task(one), "heads")
    game.evaluate(np.ones((1, game.n_players), dtype=bool))
    assert model_identity(one) == model_identity(again)  # also after passes
    # The same whole numbers under other scales are other weights.
    same, other = (with_scales_beside(tiny.hf_model("llama"), scale) for scale in (1.0, 1.5))
    assert weights_hash(same) == weights_hash(with_scales_beside(tiny.hf_model("llama"), 1.0)) != weights_hash(other)


def test_the_record_and_the_table_know_the_same_ways():
    schema = json.loads(
        (Path(sys.modules["circuitspex"].__file__).parent / "export/files/circuit.schema.json").read_text()
    )
    said = schema["properties"]["model"]["properties"]["quantization"]["description"]
    assert all(f"'{name}'" in said for name in QUANTIZATIONS)
