"""The identity of a model follows its weights, not where they came from."""

from __future__ import annotations

import pytest
import torch

from circuitspex.models import load_model, model_identity
from circuitspex.models.identity import weights_hash

SHA256 = 64


@pytest.fixture
def saved(tiny, tmp_path):
    """Saves a model and gives the folder."""

    def save(hf_model, name):
        folder = tmp_path / name
        hf_model.save_pretrained(folder)
        tiny.tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.mark.some(3)
def test_the_same_weights_are_the_same_model_wherever_they_lie(tiny, family, saved):
    first = load_model(saved(tiny.hf_model(family), "first"))
    again = saved(tiny.hf_model(family), "again")
    identity = model_identity(first)
    assert len(identity) == SHA256
    assert identity == model_identity(load_model(str(again)))
    assert identity != model_identity(load_model(saved(tiny.hf_model(family, seed=1), "other")))


@pytest.mark.parametrize("family", ["gpt2", "gemma3", "mixtral"])
def test_saving_what_was_loaded_keeps_the_identity(tiny, family, saved):
    from transformers import AutoModelForCausalLM

    first = saved(tiny.hf_model(family), "first")
    copy = saved(AutoModelForCausalLM.from_pretrained(first, dtype=torch.float32), "copy")
    assert model_identity(load_model(copy)) == model_identity(load_model(first))


def test_one_changed_number_is_another_model(tiny):
    model = tiny.hf_model("llama")
    seen = {weights_hash(model)}
    parameters = list(model.parameters())
    for parameter in parameters:
        with torch.no_grad():
            number = parameter.view(-1)[-1]
            number += 2**-12
            seen.add(weights_hash(model))
            number -= 2**-12
    assert len(seen) == 1 + len(parameters)


def test_layers_in_another_order_are_another_model(tiny):
    model = tiny.hf_model("llama")
    before = weights_hash(model)
    layers = model.model.layers
    with torch.no_grad():
        for a, b in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
            kept = a.clone()
            a.copy_(b)
            b.copy_(kept)
    assert weights_hash(model) != before


def test_dtype_and_configuration_count(tiny, saved):
    folder = saved(tiny.hf_model("llama"), "model")
    seen = {model_identity(load_model(folder, dtype=dtype)) for dtype in ("float32", "float64", "bfloat16", "float16")}
    assert len(seen) == 4
    other = saved(tiny.hf_model("llama", rope_parameters={"rope_theta": 500.0, "rope_type": "default"}), "other")
    assert model_identity(load_model(other)) not in seen


def test_a_bridge_made_by_hand_has_an_identity_too(tiny):
    model = tiny.fresh_bridge("llama")
    identity = model_identity(model)
    assert identity == model_identity(model) == model_identity(tiny.fresh_bridge("llama"))
    kept = next(model.parameters()).detach().clone()
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1
    changed = model_identity(model)
    assert changed != identity, "computed again when a weight was written to"
    next(model.parameters()).data.view(-1)[0] += 1
    assert model_identity(model) not in (changed, identity), "a write past the version counter"
    next(model.parameters()).data.copy_(kept)
    assert model_identity(model) == identity, "back to what it was"
