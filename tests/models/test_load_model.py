"""Where models come from, and what is said when they don't."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from circuitspex.errors import ModelNotFoundError, TaskError, UserError
from circuitspex.games import ComponentGame
from circuitspex.masks import sample_masks
from circuitspex.models import encode, load_model, model_name, sources
from circuitspex.models.tokens import decode_token


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(sources, "reachable", lambda endpoint: False)


def test_a_directory_gives_the_models_own_logits(tiny, family, tmp_path):
    original = tiny.hf_model(family)
    original.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    model = load_model(tmp_path, device="cpu")
    tokens = torch.tensor([[5, 3, 60, 7, 7], [1, 2, 3, 4, 5]])
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), original(tokens).logits, atol=1e-5, rtol=1e-5)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model_name(model) == str(tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16", torch.float64, None])
def test_dtypes(folder, dtype):
    model = load_model(folder, dtype=dtype)
    wanted = torch.float32 if dtype is None else getattr(torch, str(dtype).removeprefix("torch."))
    assert {parameter.dtype for parameter in model.parameters()} == {wanted}
    assert model(torch.tensor([[1, 2]])).dtype == wanted


@pytest.mark.parametrize("prepends", [False, True])
def test_prompts_begin_as_the_models_own_tokenizer_begins_them(tiny, tmp_path, prepends):
    from tokenizers.processors import TemplateProcessing

    tiny.hf_model("llama").save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    if prepends:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        tokenizer.save(str(tmp_path / "tokenizer.json"))
    model = load_model(tmp_path)
    assert model.cfg.default_prepend_bos is prepends
    words = tiny.tokenizer("w1 w2")["input_ids"]
    assert encode(model, "w1 w2") == [1] * prepends + words
    assert encode(model, "w1 w2", prepend_bos=not prepends) == [1] * (not prepends) + words
    assert decode_token(model, words[0]) == "w1"


def test_a_model_without_tokenizer_runs_and_says_so_when_text_is_asked_for(tiny, tmp_path):
    tiny.hf_model("llama").save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert model.tokenizer is None
    original = tiny.hf_model("llama")(torch.tensor([[1, 2]])).logits
    torch.testing.assert_close(model(torch.tensor([[1, 2]])), original, atol=1e-5, rtol=1e-5)
    with pytest.raises(TaskError, match="this model has no tokenizer"):
        encode(model, "w1")


def refused(kind: type[Exception], *args: object, **options: object) -> str:
    with pytest.raises(kind) as caught:
        load_model(*args, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("name", ["gpt2", "someone/some-model"])
def test_unknown_names_without_network(no_network, name):
    message = refused(ModelNotFoundError, name)
    assert message.startswith(f"'{name}' is not ")
    assert "can't be reached" in message
    assert "offline models: smollm2-135m; or give a directory or a .gguf file" in message


def test_offline_mode_is_not_a_reason_to_look(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(sources, "reachable", lambda endpoint: pytest.fail("looked for the hub"))
    assert "no network, or offline mode" in refused(ModelNotFoundError, "someone/some-model")


@pytest.mark.parametrize("name", ["", "/no/such/folder", "./nothing", "a/b/c", "two words", "~/no-such-folder-here"])
def test_what_can_be_no_name_is_refused_without_asking(monkeypatch, name, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "reachable", lambda endpoint: pytest.fail("looked for the hub"))
    message = refused(ModelNotFoundError, name)
    assert "offline models: smollm2-135m" in message or "holds no model" in message


def test_missing_and_wrong_files(tmp_path):
    assert refused(ModelNotFoundError, tmp_path / "none.gguf") == f"no such file: {tmp_path / 'none.gguf'}"
    (tmp_path / "text.gguf").write_bytes(b"hello, I am no model")
    assert "is not a GGUF file (it does not begin with 'GGUF')" in refused(ModelNotFoundError, tmp_path / "text.gguf")
    (tmp_path / "weights.bin").write_bytes(b"")
    assert "is not a GGUF file" in refused(ModelNotFoundError, tmp_path / "weights.bin")
    (tmp_path / "short.gguf").write_bytes(b"GGUF\x03\x00")
    assert "can't read" in refused(ModelNotFoundError, tmp_path / "short.gguf")
    (tmp_path / "empty").mkdir()
    assert "holds no model: it has no config.json" in refused(ModelNotFoundError, tmp_path / "empty")


def test_damaged_directories(folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert f"can't load {folder}" in refused(ModelNotFoundError, folder)
    weights.unlink()
    assert f"can't load {folder}" in refused(ModelNotFoundError, folder)
    weights.write_bytes(whole)
    (folder / "config.json").write_text("{")
    assert f"can't load {folder}" in refused(ModelNotFoundError, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "never-heard-of"}))
    assert f"can't load {folder}" in refused(ModelNotFoundError, folder)


def test_pickled_weights_are_not_read(folder):
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    assert f"can't load {folder}" in refused(ModelNotFoundError, folder)


def test_wrong_options(folder):
    for dtype in ("float31", "int8", "", torch.int64, 3, "Tensor"):
        message = refused(UserError, folder, dtype=dtype)
        assert message == f"unknown dtype '{dtype}'; allowed: float32, float64, bfloat16, float16"
    for device in ("gpu", "cuda:99", "cpu:x"):
        assert f"device '{device}' can't be used here" in refused(UserError, folder, device=device)
    for source in (folder, "smollm2-135m"):
        assert "is for models of the Hugging Face hub" in refused(UserError, source, revision="step1000")


def test_an_architecture_that_transformer_lens_does_not_know(tiny, folder, monkeypatch):
    from transformer_lens.model_bridge import TransformerBridge

    def fail(*args: object, **options: object) -> None:
        raise ValueError("Unsupported\narchitecture")

    monkeypatch.setattr(TransformerBridge, "boot_transformers", fail)
    message = refused(ModelNotFoundError, folder)
    assert message == f"TransformerLens can't wrap {folder} (LlamaForCausalLM): Unsupported architecture"


def test_loading_is_quiet_and_leaves_settings_alone(folder, capfd):
    from tqdm import tqdm
    from transformers.utils import logging

    before = (logging.get_verbosity(), logging.is_progress_bar_enabled(), tqdm.__dict__["__init__"])
    load_model(folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled(), tqdm.__dict__["__init__"]) == before
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.some(2)
@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}, {"model": "cpu", "lm_head": "cpu"}])
def test_a_model_spread_by_a_device_map(tiny, folder, device_map):
    """Where there is one device, all of it lies there, and it is the same model."""
    spread = load_model(folder, device_map=device_map)
    plain = load_model(folder, device=str(next(spread.parameters()).device))
    tokens = torch.tensor([[5, 3, 60, 7]], device=next(plain.parameters()).device)
    torch.testing.assert_close(spread(tokens), plain(tokens))
    game = ComponentGame(spread, tiny.task(spread), "heads")
    masks = sample_masks(game.n_players, 4)
    np.testing.assert_allclose(game(masks), ComponentGame(plain, tiny.task(plain), "heads")(masks), atol=1e-5)


def test_weights_left_on_disk_are_refused(folder, tmp_path):
    parts = {"model.embed_tokens": "cpu", "lm_head": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu"}
    parts |= {f"model.layers.{i}": "disk" if i else "cpu" for i in range(3)}
    with pytest.raises((UserError, ModelNotFoundError)) as caught:
        load_model(folder, device_map=parts)
    assert "\n" not in str(caught.value)


def test_a_device_map_goes_with_no_device(folder):
    with pytest.raises(UserError, match="can't go with device='cpu'"):
        load_model(folder, device="cpu", device_map="auto")
    with pytest.raises(UserError, match="can't go with the GGUF file"):
        load_model(folder / "model.gguf", device_map="auto")
