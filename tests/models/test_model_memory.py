"""What a model will take is said before it is read, and is what it takes."""

from __future__ import annotations

import sys

import pytest
import torch

from circuitspex.circuits import compare
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame
from circuitspex.masks import sample_masks
from circuitspex.models import free_memory as free
from circuitspex.models import load_model, memory, model_identity
from circuitspex.models.memory import model_memory
from circuitspex.models.quantization import QUANTIZATIONS
from circuitspex.models.stored_sizes import stored_tensors


@pytest.fixture
def folder(tiny, tmp_path):
    tiny.hf_model("llama").save_pretrained(tmp_path / "llama")
    tiny.tokenizer.save_pretrained(tmp_path / "llama")
    return tmp_path / "llama"


def leave_free(monkeypatch, size):
    monkeypatch.setattr(memory, "free_memory", lambda device: size)


@pytest.mark.some(3)
def test_the_weights_are_as_large_as_announced(tiny, family, tmp_path):
    """Every family, also those whose queries, keys and values TransformerLens takes from one matrix."""
    tiny.hf_model(family).save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    for dtype in ("float32", "bfloat16"):
        needed = model_memory(tmp_path, dtype=dtype, device="cpu")
        model = load_model(tmp_path, dtype=dtype, device="cpu")
        storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in model.parameters()}
        assert needed.weights == pytest.approx(sum(storages.values()), rel=0.01)
        assert (needed.reading > 0) == (dtype == "bfloat16")


def test_headers_name_every_tensor_of_files_in_parts(tiny, tmp_path):
    model = tiny.hf_model("llama")
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    whole, parts = (stored_tensors(tmp_path / name) for name in ("whole", "parts"))
    assert sorted(each.name for each in whole) == sorted(each.name for each in parts)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert {each.name: each.shape for each in parts} == shapes
    assert stored_tensors(tmp_path / "none") is None
    (tmp_path / "whole" / "model.safetensors").write_bytes(b"\xff" * 100)
    assert stored_tensors(tmp_path / "whole") is None  # what reads it says what is wrong with it


def test_linear_maps_alone_are_counted_in_few_bits(folder, tiny):
    model = tiny.hf_model("llama")
    linear = [each for name, each in model.named_modules() if isinstance(each, torch.nn.Linear) and name != "lm_head"]
    few = sum(each.weight.numel() for each in linear)
    rest = sum(each.numel() for each in model.parameters()) - few
    rows = sum(each.out_features for each in linear)
    for name, way in QUANTIZATIONS.items():
        needed = model_memory(folder, quantization=name, dtype="bfloat16", device="cpu")
        assert needed.weights == pytest.approx(2 * rest + way.per_weight * few + way.per_output * rows, abs=2)
        assert f"{name} weights beside bfloat16" in str(needed)


def test_weights_that_do_not_fit_are_refused_before_they_are_read(folder, monkeypatch):
    module = sys.modules["circuitspex.models.load"]
    needed = model_memory(folder, device="cpu")
    leave_free(monkeypatch, needed.weights - 1)
    monkeypatch.setattr(module, "_read", lambda *args: pytest.fail("a model was read"))
    with pytest.raises(
        UserError, match=r"need .* GB in float32, and .* are free on cpu; dtype='bfloat16' needs"
    ) as said:
        load_model(folder, device="cpu")
    assert "\n" not in str(said.value)
    assert all(f"quantization='{name}'" in str(said.value) for name in QUANTIZATIONS)
    leave_free(monkeypatch, needed.weights // 2 - 1)
    with pytest.raises(UserError, match=r"in bfloat16, .* free on cpu; quantization='8bit'"):
        load_model(folder, device="cpu", dtype="bfloat16")


def test_two_models_must_fit_beside_each_other(folder, monkeypatch, tiny):
    needed = model_memory(folder, device="cpu")
    leave_free(monkeypatch, needed.weights * 3 // 2)
    assert load_model(folder, device="cpu") is not None
    task = tiny.task(tiny.bridge("llama"))
    with pytest.raises(UserError, match=r"the weights of .* need"):
        compare(str(folder), str(folder), task, device="cpu")


def test_how_to_load_is_for_models_that_are_not_loaded(tiny):
    model = tiny.bridge("llama")
    with pytest.raises(UserError, match="dtype and quantization are for models that are given by name; this one is"):
        compare(model, model, tiny.task(model), dtype="bfloat16", quantization="8bit")


def test_large_models_are_announced_and_small_ones_are_not(folder, monkeypatch, capsys):
    load_model(folder, device="cpu")
    assert capsys.readouterr().err.count("GB") == 0
    monkeypatch.setattr(sys.modules["circuitspex.models.load"], "ANNOUNCED_FROM", 1)
    load_model(folder, device="cpu", dtype="bfloat16")
    [line] = [line for line in capsys.readouterr().err.splitlines() if "GB" in line]
    assert line.split("; ")[0] == str(model_memory(folder, device="cpu", dtype="bfloat16")).split("; ")[0]
    assert "in bfloat16" in line
    assert "of its files while it is read" in line


def test_the_limits_of_control_groups_count(tmp_path, monkeypatch):
    """A container or a scheduler's job may have less than the machine."""
    group = tmp_path / "job" / "step"
    group.mkdir(parents=True)
    for folder, limit, used, files in ((group, "max", 5, 0), (group.parent, "1000", 700, 200)):
        (folder / "memory.max").write_text(limit + "\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {files}\n")
    monkeypatch.setattr(free, "_GROUPS", tmp_path)
    own = tmp_path / "own"
    own.write_text("0::/job/step\n")
    monkeypatch.setattr(free, "_OWN", own)
    assert free.free_memory(torch.device("cpu")) == 1000 - 700 + 200
    own.write_text("5:memory:/old\n")
    assert free.free_memory(torch.device("cpu")) > 10**6


@pytest.mark.parametrize("device_map", ["disk", {"model": "cpu", "lm_head": "disk"}])
def test_weights_on_disk_are_refused_before_they_are_read(folder, monkeypatch, device_map):
    monkeypatch.setattr(sys.modules["circuitspex.models.load"], "_read", lambda *args: pytest.fail("a model was read"))
    with pytest.raises(UserError, match="leaves weights on disk; ablations need all of them in memory"):
        load_model(folder, device_map=device_map)
    with pytest.raises(
        UserError, match=r"device_map='everywhere': device 'everywhere' can't be used here.* allowed: auto"
    ):
        load_model(folder, device_map="everywhere")


def test_a_model_that_accelerate_spreads_computes_the_same(folder, monkeypatch, tiny):
    """Several places, all of them this CPU, with the hooks that move activations between devices."""
    from accelerate import dispatch_model

    modules = ("model.embed_tokens", "model.layers.0", "model.layers.1", "model.layers.2", "model.norm", "lm_head")
    where = dict.fromkeys((*modules, "model.rotary_emb"), "cpu")
    read = sys.modules["circuitspex.models.read"]

    def with_hooks(*given, **options):
        return dispatch_model(of_files(*given, **options), where, force_hooks=True)

    of_files = read._weights
    monkeypatch.setattr(read, "_weights", with_hooks)
    spread = load_model(folder, device_map=where)
    monkeypatch.setattr(read, "_weights", of_files)
    assert any(hasattr(module, "_hf_hook") for module in spread.original_model.modules())
    plain = load_model(folder, device="cpu")
    assert model_identity(spread) == model_identity(plain)
    for executor in ("hooks", "batched", "fused"):
        found = []
        for model in (spread, plain):
            game = ComponentGame(model, tiny.task(model), "heads+mlps", executor=executor)
            found.append(game.evaluate(sample_masks(game.n_players, 6, seed=0), gradients=True))
        torch.testing.assert_close(found[0].per_prompt, found[1].per_prompt)
        torch.testing.assert_close(found[0].gradients, found[1].gradients)
