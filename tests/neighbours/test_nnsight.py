"""nnsight: its models in place of ours."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import circuitspex as cx
from circuitspex.errors import ModelNotFoundError

nnsight = pytest.importorskip("nnsight")

MASKS = np.array([[True, False, True], [False, True, True]])


@pytest.fixture
def wrapped(tiny: SimpleNamespace, tmp_path: Path) -> tuple[Any, Any]:
    """A Hugging Face model from a folder, and the same as nnsight loads it."""
    tiny.hf_model("llama").save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    return AutoModelForCausalLM.from_pretrained(tmp_path), nnsight.LanguageModel(str(tmp_path), dispatch=True)


def test_language_models(tiny: SimpleNamespace, wrapped: tuple[Any, Any]) -> None:
    """`cx.load_model`, `cx.find_circuit` and games take a `LanguageModel`, with its tokenizer; it stays as it is."""
    hf_model, language_model = wrapped
    model = cx.load_model(language_model)
    tokens = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), hf_model(tokens).logits, atol=1e-4, rtol=0)
    assert cx.model_identity(model) == cx.model_identity(cx.load_model(hf_model))
    assert model.tokenizer("w3 w4")["input_ids"] == cx.load_model(hf_model).tokenizer("w3 w4")["input_ids"]
    assert all("__nnsight__" not in module.__dict__ for module in model.original_model.modules())
    task = tiny.task(tiny.bridge("llama"))
    values = [cx.ComponentGame(each, task, "mlps", "zero")(MASKS) for each in (language_model, hf_model)]
    np.testing.assert_allclose(*values, atol=1e-5)
    little = {"budget": 8, "n_heldout": 4, "n_contexts": 2, "progress": False}
    found = [cx.find_circuit(each, task, "mlps", "zero", **little) for each in (language_model, hf_model)]
    assert found[0].circuit.nodes == found[1].circuit.nodes
    assert not any(hasattr(module, "hook_out") for module in language_model._module.modules())


def test_around_a_model_of_ones_own(tiny: SimpleNamespace) -> None:
    """Models that nnsight has been given (`LanguageModel(hf_model, tokenizer=…)`, `NNsight(hf_model)`) work too."""
    hf_model = tiny.hf_model("gpt2")
    given = [nnsight.LanguageModel(hf_model, tokenizer=tiny.tokenizer), nnsight.NNsight(hf_model)]
    identities = {cx.model_identity(cx.load_model(each, tokenizer=tiny.tokenizer)) for each in [*given, hf_model]}
    assert len(identities) == 1


def test_an_activation_of_nnsight_is_ours(tiny: SimpleNamespace, wrapped: tuple[Any, Any]) -> None:
    """What nnsight traces at an MLP is what passes our hook `blocks.1.hook_mlp_out`."""
    _, language_model = wrapped
    tokens = torch.tensor([[5, 6, 7, 8]])
    with language_model.trace(tokens):
        saved = language_model.model.layers[1].mlp.output.save()
    _, cache = cx.load_model(language_model).run_with_cache(tokens)
    torch.testing.assert_close(saved.detach(), cache["blocks.1.hook_mlp_out"], atol=1e-5, rtol=0)


def test_not_loaded_yet(tiny: SimpleNamespace) -> None:
    """A model whose weights nnsight has not loaded is refused in one line."""
    language_model = nnsight.NNsight(tiny.hf_model("llama").to("meta"))
    with pytest.raises(ModelNotFoundError, match="nnsight has not loaded the weights") as caught:
        cx.load_model(language_model)
    assert len(str(caught.value).splitlines()) == 1
