"""GGUF files of several architectures, written here, give the logits of the model they were written from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers.convert_slow_tokenizer import bytes_to_unicode

from circuitspex.components import model_structure
from circuitspex.errors import ModelNotFoundError
from circuitspex.games import ComponentGame
from circuitspex.models import load_model, model_identity
from circuitspex.models.gguf import read_gguf
from circuitspex.tasks import Example, Task

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
LETTERS = "abcdefghijklmnopqrstuvwxyz"
BYTES = [f"<0x{i:02X}>" for i in range(256)]


def byte_pairs(writer: gguf.GGUFWriter) -> int:
    """The tokenizer of GPT-2 and Qwen: bytes and a few merges. Gives the size of the vocabulary."""
    tokens = [*bytes_to_unicode().values(), "Ġa", "Ġb", "Ġc", "<|end|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_merges(["Ġ a", "Ġ b", "Ġ c"])
    writer.add_token_types([NORMAL] * (len(tokens) - 1) + [CONTROL])
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_pad_token_id):
        add(len(tokens) - 1)
    return len(tokens)


def sentence_pieces(writer: gguf.GGUFWriter) -> int:
    """The tokenizer of Llama, Gemma and Phi: pieces with scores, and bytes for what is unknown."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    pieces = ["▁", *LETTERS, "▁a", "▁b", "▁c"]
    tokens = [*special, *BYTES, *pieces]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * (len(special) + 256) + [-float(i) for i in range(len(pieces))])
    kinds = [CONTROL, CONTROL, CONTROL, UNKNOWN, *[BYTE] * 256, *[NORMAL] * len(pieces)]
    writer.add_token_types(kinds)
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    return len(tokens)


def transposed(name: str, weight: np.ndarray) -> np.ndarray:
    mixing = ("attn_qkv.weight", "attn_output.weight", "ffn_up.weight", "ffn_down.weight")
    return weight.T if name.endswith(mixing) else weight


def plus_one(name: str, weight: np.ndarray) -> np.ndarray:
    return weight + 1 if name.endswith("norm.weight") else weight


def interleaved(name: str, weight: np.ndarray) -> np.ndarray:
    """Llama's rotary halves, in the order in which GGUF files have them."""
    heads = 4 if ".attn_q." in name else 2 if ".attn_k." in name else 0
    if not heads:
        return weight
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def as_it_is(name: str, weight: np.ndarray) -> np.ndarray:
    return weight


# Each architecture: its tokenizer, how its weights are stored, and fields that its files don't hold, so that only the
# usual value can be read back.
Layout = tuple[Callable[[gguf.GGUFWriter], int], Callable[[str, np.ndarray], np.ndarray], dict[str, Any]]
ARCHITECTURES: dict[str, Layout] = {
    "qwen2": (byte_pairs, as_it_is, {}),
    "qwen3": (byte_pairs, as_it_is, {"head_dim": 128}),
    "gpt2": (byte_pairs, transposed, {"n_inner": None, "n_positions": 1024}),
    "llama": (sentence_pieces, interleaved, {}),
    "phi3": (sentence_pieces, as_it_is, {}),
    "gemma2": (sentence_pieces, plus_one, {"query_pre_attn_scalar": 256, "final_logit_softcapping": 30.0}),
    "gemma3": (sentence_pieces, plus_one, {"query_pre_attn_scalar": 256}),
}


def write_gguf(path: Path, architecture: str, make: Callable[..., Any], **tensor_options: Any) -> Any:
    """Write a random model of this architecture and give the model."""
    tokenizer, stored, fields = ARCHITECTURES[architecture]
    writer = gguf.GGUFWriter(path, architecture)
    size = tokenizer(writer)
    model = make(architecture, vocab_size=size, **fields)
    config = model.config
    writer.add_vocab_size(size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    if architecture == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(10_000.0)
    if architecture.startswith("gemma"):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_sliding_window(config.sliding_window)
    number = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    names = gguf.get_tensor_name_map(number, config.num_hidden_layers)
    for name, parameter in model.named_parameters():
        stored_name = names.get_name(name, (".weight", ".bias"))
        stored_name = stored_name or names.get_name(name.removeprefix("transformer."), (".weight", ".bias"))
        writer.add_tensor(stored_name, np.ascontiguousarray(stored(stored_name, parameter.detach().numpy())))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


@pytest.mark.some(3)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_file_gives_the_logits_of_the_model_it_was_written_from(tiny, tmp_path, architecture):
    path = tmp_path / "model.gguf"
    original = write_gguf(path, architecture, tiny.hf_model)
    model = load_model(path, device="cpu")
    tokens = torch.tensor([[5, 7, 1, 200, 9, 31], [2, 80, 81, 82, 83, 84]])
    with torch.no_grad():
        expected = original(tokens).logits
        torch.testing.assert_close(model(tokens), expected, atol=1e-5, rtol=1e-5)
    assert expected.std() > 0.1
    assert model_identity(model) == model_identity(load_model(path, device="cpu"))
    assert all(layer.n_heads == 4 for layer in model_structure(model).layers)

    text = "a b c abc"
    assert model.tokenizer.decode(model.tokenizer(text, add_special_tokens=False)["input_ids"]).strip() == text
    task = Task.from_examples(model, [Example("a b c", "c b a", " b", " c"), Example("b c a", "a a b", " b", " c")])
    for baseline in ("zero", "mean", "resample"):
        runs = [
            ComponentGame(model, task, "heads+mlps", baseline, executor=executor).evaluate(np.eye(15, dtype=bool))
            for executor in ("auto", "batched", "hooks")
        ]
        np.testing.assert_allclose(runs[0].per_prompt, runs[1].per_prompt, atol=1e-4)


@pytest.mark.some(2)
@pytest.mark.parametrize("architecture", ["qwen2", "llama", "gemma2"])
def test_what_was_read_can_be_saved_and_read_again(tiny, tmp_path, architecture):
    """The way that models of the catalogue go."""
    write_gguf(tmp_path / "model.gguf", architecture, tiny.hf_model)
    model, tokenizer = read_gguf(tmp_path / "model.gguf")
    model.save_pretrained(tmp_path / "folder")
    tokenizer.save_pretrained(tmp_path / "folder")
    from_file, from_folder = load_model(tmp_path / "model.gguf"), load_model(tmp_path / "folder")
    tokens = torch.tensor([[5, 7, 1, 200, 9, 31]])
    torch.testing.assert_close(from_folder(tokens), from_file(tokens), atol=0, rtol=0)
    assert model_identity(from_folder) == model_identity(from_file)
    assert from_folder.tokenizer("a b c")["input_ids"] == from_file.tokenizer("a b c")["input_ids"]
    assert from_folder.cfg.default_prepend_bos == from_file.cfg.default_prepend_bos


def test_the_dtype_of_a_file_can_be_chosen(tiny, tmp_path):
    write_gguf(tmp_path / "model.gguf", "qwen2", tiny.hf_model)
    for dtype in (torch.float64, torch.bfloat16):
        model = load_model(tmp_path / "model.gguf", dtype=dtype)
        assert {parameter.dtype for parameter in model.parameters()} == {dtype}


def test_damaged_files_and_unknown_architectures_are_one_clear_line(tiny, tmp_path):
    path = tmp_path / "model.gguf"
    write_gguf(path, "qwen2", tiny.hf_model)
    whole = path.read_bytes()
    for data in (whole[:100], whole[: len(whole) // 2], whole.replace(b"qwen2", b"qwerty"[:5])):
        path.write_bytes(data)
        with pytest.raises(ModelNotFoundError, match=r"can't read .*model\.gguf") as caught:
            load_model(path)
        assert len(str(caught.value).splitlines()) == 1
