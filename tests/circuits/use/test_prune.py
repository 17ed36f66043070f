"""``circuit.prune``: a checkpoint whose logits, in plain transformers, are those of plain hooks on the whole model."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
import torch
from plain_use import circuit_of, names_of, plain, vectors_of
from transformers import AutoModelForCausalLM, AutoTokenizer

import circuitspex as cx
from circuitspex.circuits import Node
from circuitspex.circuits.use.cutting import EMPTY, slots_of
from circuitspex.errors import UserError
from circuitspex.models.load import _bridge

TEXTS = ["w1 w2 w3 w4", "w9 w8 w7 w6 w5 w4", "w11"]
HEADS = ("heads", ["L0H1", "L0H2", "L0H3", "L1H0"])
BOTH = ("heads+mlps", ["L0H1", "L1H3", "L1M", "L2H0"])
NEURONS = ("neurons", ["L0N3", "L2N7", "L2N9"])
GROUPS = ("attns+neurons:8", ["L0A", "L1N8:16", "L1N16:24"])
ZERO = [(family, *kinds, "zero") for family in ("llama", "gpt2", "gemma2") for kinds in (HEADS, BOTH, NEURONS, GROUPS)]
ZERO += [
    (family, *kinds, "zero") for family in ("gpt_neox", "phi3", "qwen3", "gemma3", "olmo2") for kinds in (BOTH, NEURONS)
]
MEAN = [
    (family, *kinds, "mean_vector")
    for family in ("llama", "gpt2", "gpt_neox")
    for kinds in (HEADS, BOTH, NEURONS, GROUPS)
]
MEAN += [("gemma2", *HEADS, "mean_vector"), ("qwen3", *HEADS, "mean_vector"), ("granite", *NEURONS, "mean_vector")]


def rows_of(tiny):
    return [tiny.tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]


def logits_in_plain_transformers(folder, tokens):
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(input_ids=tokens).logits


@pytest.mark.parametrize(("family", "components", "members", "baseline"), ZERO + MEAN)
@pytest.mark.some(6)
def test_its_logits_are_those_of_plain_hooks(tiny, tmp_path, family, components, members, baseline):
    hf = tiny.hf_model(family)
    off = [name for name in names_of(components) if name not in members]
    vectors = None if baseline == "zero" else vectors_of(family, hf, off, rows_of(tiny))
    tokens = torch.randint(3, 60, (3, 9), generator=torch.Generator().manual_seed(5))
    with plain(family, hf, dict.fromkeys(off, 0.0), vectors), torch.no_grad():
        wanted = hf(input_ids=tokens, use_cache=False).logits
    circuit = circuit_of(members, components, baseline)
    pruned = circuit.prune(tiny.bridge(family), tmp_path / "pruned", prompts=TEXTS)
    found = logits_in_plain_transformers(tmp_path / "pruned", tokens)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert pruned.n_ablated == len(off)
    assert pruned.n_kept == len(members)
    assert pruned.difference < 1e-4


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_without_the_circuit(tiny, tmp_path, family):
    hf = tiny.hf_model(family)
    tokens = torch.randint(3, 60, (3, 9), generator=torch.Generator().manual_seed(5))
    circuit_of(BOTH[1], BOTH[0]).prune(tiny.bridge(family), tmp_path / "rest", keep=False)
    with plain(family, hf, dict.fromkeys(BOTH[1], 0.0)), torch.no_grad():
        wanted = hf(input_ids=tokens, use_cache=False).logits
    torch.testing.assert_close(logits_in_plain_transformers(tmp_path / "rest", tokens), wanted, atol=1e-4, rtol=0)


def test_it_is_smaller_by_what_the_report_says(tiny, tmp_path):
    """Llama: one query head and one key/value head a layer are enough, and layer 2 adds nothing."""
    pruned = circuit_of(["L0H1", "L1H3", "L1M"], "heads+mlps").prune(tiny.bridge("llama"), tmp_path / "pruned")
    config = json.loads((tmp_path / "pruned" / "config.json").read_text())
    sizes = [config[name] for name in ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim")]
    assert sizes == [2, 1, 1, 8]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "pruned")
    count = sum(p.numel() for p in model.parameters())
    whole = sum(p.numel() for p in tiny.hf_model("llama").parameters())
    assert (pruned.before.parameters, pruned.after.parameters) == (whole, count)
    assert count < whole - 3 * 2 * (2 + 2) * 8 * 32
    assert pruned.layers == (0, 1)
    assert (pruned.after.layers, pruned.after.heads, pruned.after.key_value_heads, pruned.after.neurons) == (
        2,
        1,
        1,
        48,
    )
    assert (pruned.before.layers, pruned.before.heads, pruned.before.key_value_heads) == (3, 4, 2)
    assert pruned.after.megabytes == pytest.approx(4e-6 * count)
    weights = (tmp_path / "pruned" / "model.safetensors").stat().st_size
    assert abs(weights - 4 * count) < 8192
    assert min(pruned.before.ms, pruned.after.ms) > 0
    text = str(pruned)
    assert "3 components kept, 15 gone (baseline zero)" not in text
    assert "3 components kept, 12 gone (baseline zero)" in text
    assert f"{count:,}" in text
    assert json.loads(json.dumps(pruned.to_json()))["after"]["heads"] == 1


def test_neurons_of_all_layers_are_as_many_as_the_largest_needs(tiny, tmp_path):
    pruned = circuit_of([f"L1N{i}" for i in range(5, 11)] + ["L2N0"], "neurons").prune(
        tiny.bridge("qwen3"), tmp_path / "pruned"
    )
    assert pruned.after.neurons == 6
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "pruned")
    used = [int((layer.mlp.down_proj.weight != 0).any(0).sum()) for layer in model.model.layers]
    assert used == [0, 6, 1]


def test_heads_are_dealt_out_to_groups_of_their_own_keys_and_values():
    assert slots_of([0, 1, 2, 5], 4, 2, 3).queries == (0, 1, 2, 5, EMPTY, EMPTY)
    assert slots_of([0, 1, 2, 5], 4, 2, 3).groups == (0, 1)
    assert slots_of([0, 1, 2, 5], 4, 4, 2).queries == (0, 1, 2, EMPTY, 5, EMPTY, EMPTY, EMPTY)
    assert slots_of([0, 1, 2, 5], 4, 4, 2).groups == (0, 0, 1, EMPTY)
    assert slots_of([0, 1, 2, 5], 4, 2, 2) is None
    assert slots_of([], 4, 1, 1).groups == (EMPTY,)


@pytest.mark.some(3)
@pytest.mark.parametrize("seed", range(6))
def test_random_heads_of_grouped_attention(tiny, tmp_path, seed):
    """Eight heads in two, four or eight groups; whichever stay, each goes on reading its own keys and values."""
    from plain_use import plain as plain_hooks

    generator = torch.Generator().manual_seed(seed)
    n_groups = (2, 4, 8)[seed % 3]
    hf = tiny.hf_model("llama", num_attention_heads=8, num_key_value_heads=n_groups, attention_bias=seed % 2 == 0)
    names = names_of("heads", n_heads=8)
    kept = [name for name in names if torch.rand(1, generator=generator) < 0.3] or names[:1]
    off = [name for name in names if name not in kept]
    bridge = _bridge(
        "tiny",
        tiny.hf_model("llama", num_attention_heads=8, num_key_value_heads=n_groups, attention_bias=seed % 2 == 0),
        tiny.tokenizer,
        torch.float32,
        torch.device("cpu"),
    )
    vectors = vectors_of("llama", hf, off, rows_of(tiny), n_heads=8)
    tokens = torch.randint(3, 60, (3, 9), generator=generator)
    with plain_hooks("llama", hf, dict.fromkeys(off, 0.0), vectors, n_heads=8), torch.no_grad():
        wanted = hf(input_ids=tokens, use_cache=False).logits
    pruned = circuit_of(kept, "heads", "mean_vector").prune(bridge, tmp_path / "pruned", prompts=TEXTS)
    torch.testing.assert_close(logits_in_plain_transformers(tmp_path / "pruned", tokens), wanted, atol=1e-4, rtol=0)
    assert pruned.after.heads <= 8


def test_it_generates_the_same_text_and_loads_here_again(tiny, tmp_path):
    model = tiny.bridge("llama")
    circuit = circuit_of(BOTH[1], BOTH[0], "mean_vector")
    circuit.prune(model, tmp_path / "pruned", prompts=TEXTS)
    tokens = torch.tensor([[5, 6, 7, 8]])
    options = {"max_new_tokens": 8, "do_sample": False, "eos_token_id": None, "pad_token_id": 2}
    with circuit.applied(model, prompts=TEXTS):
        wanted = model.original_model.generate(tokens, **options).tolist()
    plain_model = AutoModelForCausalLM.from_pretrained(tmp_path / "pruned")
    assert plain_model.generate(tokens, **options).tolist() == wanted
    again = cx.load_model(tmp_path / "pruned", device="cpu")
    assert again.original_model.generate(tokens, **options).tolist() == wanted
    assert (
        AutoTokenizer.from_pretrained(tmp_path / "pruned")("w3 w4")["input_ids"] == tiny.tokenizer("w3 w4")["input_ids"]
    )


def test_the_model_is_as_before(tiny, tmp_path, hooks_left):
    model = tiny.bridge("gpt2")
    tokens = torch.tensor([[5, 6, 7, 8]])
    identity, before, hooks = cx.model_identity(model), model(tokens), hooks_left(model)
    circuit_of(BOTH[1], BOTH[0]).prune(model, tmp_path / "pruned")
    assert cx.model_identity(model) == identity
    assert torch.equal(model(tokens), before)
    assert hooks_left(model) == hooks


def test_half_precision(tiny, tmp_path):
    model = tiny.bridge("llama", torch.bfloat16)
    circuit_of(BOTH[1], BOTH[0]).prune(model, tmp_path / "pruned")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "pruned").dtype == torch.bfloat16


def test_a_path_that_exists_is_refused_unless_asked(tiny, tmp_path):
    model, circuit = tiny.bridge("llama"), circuit_of(BOTH[1], BOTH[0])
    path = tmp_path / "pruned"
    circuit.prune(model, path)
    first = (path / "model.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"exists already; give another path, or overwrite=True$"):
        circuit.prune(model, path)
    (path / "mine.txt").write_text("of before")
    circuit_of(["L0H0"], "heads").prune(model, path, overwrite=True)
    assert (path / "model.safetensors").read_bytes() != first
    assert not (path / "mine.txt").exists()
    other = tmp_path / "papers"
    other.mkdir()
    (other / "mine.txt").write_text("of mine")
    with pytest.raises(UserError, match="is no folder of a model, so it is not overwritten"):
        circuit.prune(model, other, overwrite=True)
    assert (other / "mine.txt").read_text() == "of mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["papers", "pruned"]


def test_what_fails_on_the_way_leaves_nothing_and_what_was_there(tiny, tmp_path, monkeypatch):
    model, circuit = tiny.bridge("llama"), circuit_of(BOTH[1], BOTH[0])
    path = tmp_path / "pruned"
    circuit.prune(model, path)
    before = (path / "model.safetensors").read_bytes()
    real = os.replace

    def fails(source, target):
        if str(target) == str(path) and ".old" not in str(source):
            raise OSError(28, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(UserError, match=r"^can't write .*: No space left on device$"):
        circuit_of(["L0H0"], "heads").prune(model, path, overwrite=True)
    assert (path / "model.safetensors").read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["pruned"]


def test_a_checkpoint_that_differs_is_not_put_in_place(tiny, tmp_path, monkeypatch):
    """Whatever the reason: here means that were spoiled on their way into the biases."""
    from circuitspex.circuits.use.ready import Ready

    plain_vector = Ready.vector
    monkeypatch.setattr(Ready, "vector", lambda self, component: plain_vector(self, component) + 0.05)
    with pytest.raises(UserError, match=r"LlamaForCausalLM can't be pruned so: its logits would differ .* by"):
        circuit_of(BOTH[1], BOTH[0], "mean_vector").prune(tiny.bridge("llama"), tmp_path / "pruned", prompts=TEXTS)
    assert list(tmp_path.iterdir()) == []


REFUSED = [
    ("llama", ["L0H1.k"], "heads.k", "zero", "keys can't be taken out of a checkpoint; heads, attention layers"),
    ("llama", ["L0R"], "residuals", "zero", "residual streams can't be taken out of a checkpoint"),
    ("mixtral", ["L0E1"], "experts", "zero", "experts can't be taken out of a checkpoint"),
    ("mixtral", ["L0M"], "mlps", "zero", "^L1M is a mixture of experts, which can't be taken out of a checkpoint$"),
    ("qwen3", ["L0M"], "mlps", "mean_vector", "has no bias 'model.layers.1.mlp.down_proj.bias' that a mean could be"),
    ("phi3", ["L0H1"], "heads", "mean_vector", "has no bias 'model.layers.0.self_attn.o_proj.bias' that a mean could"),
    ("gemma2", ["L0A"], "attns", "mean_vector", "can't be pruned so: its logits would differ .*; use baseline='zero'$"),
    ("llama", ["L0H1"], "heads", "mean", "^the circuit was found with baseline 'mean', which is by position"),
    ("llama", ["L0H1@-1"], "heads@-1", "zero", "acts at one token position"),
]


@pytest.mark.parametrize(("family", "members", "components", "baseline", "line"), REFUSED)
def test_what_can_not_be_is_one_line(tiny, tmp_path, family, members, components, baseline, line):
    circuit = circuit_of([name.partition("@")[0] for name in members], components, baseline)
    circuit = replace(circuit, nodes=tuple(Node(name, 0, "head", 1.0) for name in members))
    with pytest.raises(UserError, match=line) as error:
        circuit.prune(tiny.bridge(family), tmp_path / "pruned", prompts=TEXTS)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []
