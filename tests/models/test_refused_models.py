"""Models that can't be run rightly are refused when they are loaded, in one line that says why."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import circuitspex
from circuitspex import ComponentGame, TokenGame
from circuitspex.errors import ModelNotFoundError, UserError
from circuitspex.models import load_model
from circuitspex.models.load import _bridge

SIZES = {"vocab_size": 61, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 48}
GPT = {"vocab_size": 61, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
OPT = {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 64}
HYBRID = {
    "num_key_value_heads": 2,
    "layer_types": ["attention"] * 2,
    "shared_intermediate_size": 48,
    "num_local_experts": 0,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
}
T5 = {"vocab_size": 61, "d_model": 32, "d_ff": 48, "num_layers": 2, "num_heads": 4, "d_kv": 8}
BART = {"vocab_size": 61, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48}
BART |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "decoder_ffn_dim": 48}
LOADERS = ("from_pretrained", "boot_transformers")
OWN_IDS = {"pad_token_id": 2, "bos_token_id": 1, "eos_token_id": 1}


def saved(folder: Path, config: str, model: str, fields: dict[str, Any], scale: float = 0.3) -> Any:
    """A random model of this class, in a folder."""
    torch.manual_seed(0)
    made = getattr(transformers, model)(getattr(transformers, config)(**{**OWN_IDS, **fields})).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, scale)
    made.save_pretrained(folder)
    return made


def refused(source: Any, **options: Any) -> str:
    with pytest.raises(ModelNotFoundError) as caught:
        load_model(source, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 700
    return message


@pytest.mark.parametrize(
    ("config", "model", "fields", "lacks"),
    [
        ("OPTConfig", "OPTForCausalLM", {**OPT, "do_layer_norm_before": False}, "model.decoder.final_layer_norm"),
        ("GraniteMoeHybridConfig", "GraniteMoeHybridForCausalLM", {**SIZES, **HYBRID}, "model.rotary_emb"),
    ],
)
def test_what_transformer_lens_wraps_but_cannot_run(tmp_path, config, model, fields, lacks):
    saved(tmp_path, config, model, fields)
    assert refused(tmp_path) == (
        f"TransformerLens wraps {tmp_path} ({model}) but can't run it: it has no {lacks}, "
        "without which TransformerLens does not run models of this class"
    )


def test_a_model_without_a_last_norm_runs_through_hooks(tiny, tmp_path):
    own = saved(tmp_path, "OpenAIGPTConfig", "OpenAIGPTLMHeadModel", GPT)
    tiny.tokenizer.save_pretrained(tmp_path)
    model = load_model(tmp_path, device="cpu")
    task = tiny.task(model)
    game = ComponentGame(model, task, "mlps", "zero")
    assert "not fused: a norm is missing" in game.executor
    masks = np.array([[True, True], [False, True], [True, False]])
    expected = []
    for mask in masks:
        hooks = [
            own.transformer.h[layer].mlp.register_forward_hook(lambda module, args, output: 0 * output)
            for layer in np.flatnonzero(~mask)
        ]
        with torch.no_grad():
            logits = own(task.tokens).logits[:, -1]
        for hook in hooks:
            hook.remove()
        expected.append(logits.gather(1, task.answers[:, None]) - logits.gather(1, task.wrong_answers[:, None]))
    expected = torch.stack(expected)[..., 0].double().numpy()
    np.testing.assert_allclose(game.evaluate(masks).per_prompt, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "model", "fields"),
    [
        ("BertConfig", "BertForMaskedLM", SIZES),
        ("BertConfig", "BertModel", SIZES),
        ("RobertaConfig", "RobertaForMaskedLM", SIZES),
        ("ModernBertConfig", "ModernBertForMaskedLM", SIZES),
        ("DistilBertConfig", "DistilBertForMaskedLM", {"vocab_size": 61, "dim": 32, "n_layers": 2, "n_heads": 4}),
    ],
)
def test_bidirectional_models_are_named_before_their_weights_are_read(tmp_path, config, model, fields):
    saved(tmp_path, config, model, fields)
    (tmp_path / "model.safetensors").write_bytes(b"never read")
    message = refused(tmp_path)
    assert message.startswith(f"{tmp_path} is bidirectional ({model}): each position sees later ones")


@pytest.mark.parametrize(
    ("config", "model", "fields"),
    [("T5Config", "T5ForConditionalGeneration", T5), ("BartConfig", "BartForConditionalGeneration", BART)],
)
def test_encoder_decoders_are_named(tmp_path, config, model, fields):
    saved(tmp_path, config, model, fields)
    assert refused(tmp_path) == (
        f"{tmp_path} has an encoder and a decoder ({model}); only causal, decoder-only models are taken"
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("scale", [0.3, 0.03])
def test_a_later_token_that_matters_is_found_by_running_the_model(tmp_path, dtype, scale):
    """Embedding models of the Gemma family differ from language models in one field of the configuration."""
    fields = {**SIZES, "num_key_value_heads": 2, "head_dim": 8, "use_bidirectional_attention": True}
    saved(tmp_path, "Gemma3TextConfig", "Gemma3ForCausalLM", fields, scale)
    message = refused(tmp_path, dtype=dtype)
    assert message.startswith(f"{tmp_path} is bidirectional (Gemma3ForCausalLM): each position sees later ones")


@pytest.mark.parametrize("decoder", [False, True])
def test_one_class_both_ways(tiny, decoder):
    """What BERT is, is told by a field; here nobody reads it, and the model is run."""
    torch.manual_seed(0)
    config = transformers.BertConfig(**SIZES, is_decoder=decoder, attn_implementation="eager")
    model = transformers.BertLMHeadModel(config).eval()
    model.config.architectures = ["BertLMHeadModel"]
    if decoder:
        assert _bridge("bert", model, tiny.tokenizer, torch.float32, torch.device("cpu"))
        return
    with pytest.raises(ModelNotFoundError, match=r"^bert is bidirectional \(BertLMHeadModel\)"):
        _bridge("bert", model, tiny.tokenizer, torch.float32, torch.device("cpu"))


def test_who_wraps_a_bidirectional_model_himself_is_told_too(tiny):
    from transformer_lens.model_bridge import TransformerBridge

    torch.manual_seed(0)
    bert = transformers.BertForMaskedLM(transformers.BertConfig(**SIZES, attn_implementation="eager")).eval()
    bert.config.architectures = ["BertForMaskedLM"]
    model = TransformerBridge.boot_transformers("mine", hf_model=bert, tokenizer=tiny.bridge("llama").tokenizer)
    for make in (
        lambda: ComponentGame(model, tiny.task(tiny.bridge("llama")), "mlps", "zero"),
        lambda: TokenGame(model, "w1 w2 w3", " w4", " w5", ablate="delete"),
    ):
        with pytest.raises(UserError, match=r"^mine is bidirectional \(BertForMaskedLM\): each position sees later"):
            make()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["mixtral", "olmoe"])
def test_rounding_of_mixtures_is_not_taken_for_looking_ahead(tiny, tmp_path, family, dtype):
    tiny.hf_model(family).save_pretrained(tmp_path)
    assert load_model(tmp_path, dtype=dtype)


def test_what_transformer_lens_changes_is_refused(tiny, monkeypatch):
    """Wrapped wrongly, a model would be explained that is not the user's."""
    from transformer_lens.model_bridge import TransformerBridge

    boot = TransformerBridge.boot_transformers

    def changed(*args: Any, **options: Any) -> Any:
        bridge = boot(*args, **options)
        bridge.original_model.lm_head.register_forward_hook(lambda module, args, output: 1.1 * output)
        return bridge

    monkeypatch.setattr(TransformerBridge, "boot_transformers", changed)
    message = r"^TransformerLens runs it \(LlamaForCausalLM\) as another model: its logits are off by 0\.\d of their"
    with pytest.raises(ModelNotFoundError, match=message):
        _bridge("it", tiny.hf_model("llama"), tiny.tokenizer, torch.float32, torch.device("cpu"))


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_eight_bit_weights_are_read_with_their_scales_or_not_at_all(tiny, tmp_path, family):
    tiny.hf_model(family).save_pretrained(tmp_path / "plain")
    shutil.copytree(tmp_path / "plain", tmp_path / "small")
    stored, read = {}, {}
    for name, tensor in load_file(tmp_path / "plain" / "model.safetensors").items():
        if ("layers" in name and name.endswith("proj.weight")) or ".experts." in name:
            blocks = tensor.reshape(tensor.shape[0] // 16, 16, tensor.shape[1] // 16, 16)
            scales = blocks.abs().amax((1, 3)) / 448
            bits = (blocks / scales[:, None, :, None]).to(torch.float8_e4m3fn)
            stored[name], stored[f"{name}_scale_inv"] = bits.reshape(tensor.shape), scales
            read[name] = (bits.float() * scales[:, None, :, None]).reshape(tensor.shape)
        else:
            stored[name] = read[name] = tensor
    save_file(read, tmp_path / "plain" / "model.safetensors", {"format": "pt"})
    save_file(stored, tmp_path / "small" / "model.safetensors", {"format": "pt"})
    assert "_scale_inv, …), for which its config.json has no place" in refused(tmp_path / "small")
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    about = {"weight_block_size": [16, 16], "activation_scheme": "dynamic", "modules_to_not_convert": ["lm_head"]}
    for method in ("fp8", "nothing we know"):
        config["quantization_config"] = {"quant_method": method, **about}
        (tmp_path / "small" / "config.json").write_text(json.dumps(config))
        if method != "fp8":
            assert "its weights are quantised by 'nothing we know', which transformers" in refused(tmp_path / "small")
        elif not torch.cuda.is_available():
            tokens = torch.tensor([[5, 3, 60, 7]])
            expected = load_model(tmp_path / "plain", device="cpu")(tokens)
            torch.testing.assert_close(load_model(tmp_path / "small", device="cpu")(tokens), expected)


class TestTensors:
    """Files whose tensors are not those that the configuration asks for."""

    @pytest.fixture
    def folder(self, tiny, tmp_path):
        tiny.hf_model("llama", tie_word_embeddings=False).save_pretrained(tmp_path)
        return tmp_path

    @staticmethod
    def change(folder: Path, put: dict[str, torch.Tensor] | None = None, drop: str = "nothing") -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors = {name: tensor for name, tensor in tensors.items() if not re.search(drop, name)}
        save_file(tensors | (put or {}), folder / "model.safetensors", {"format": "pt"})

    @staticmethod
    def configure(folder: Path, **fields: Any) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | fields))

    def test_more_layers_than_there_are(self, folder):
        self.configure(folder, num_hidden_layers=4)
        message = refused(folder)
        assert message.startswith(f"can't load {folder}: its files lack 9 tensors (model.layers.3.input_layernorm")
        assert message.endswith(", for which the config.json asks")

    def test_fewer_layers_than_there_are(self, folder):
        self.configure(folder, num_hidden_layers=2)
        message = refused(folder)
        assert message.startswith(f"can't load {folder}: its files hold 9 tensors (model.layers.2.input_layernorm")
        assert message.endswith(", for which its config.json has no place")

    @pytest.mark.parametrize("name", ["lm_head.weight", "model.norm.weight", "model.layers.1.self_attn.q_proj.weight"])
    def test_one_tensor_lacks(self, folder, name):
        self.change(folder, drop=re.escape(name))
        assert refused(folder) == f"can't load {folder}: its files lack {name}, for which the config.json asks"

    def test_one_tensor_too_many(self, folder):
        self.change(folder, {"model.layers.0.self_attn.q_proj.bias": torch.zeros(32)})
        message = refused(folder)
        assert "hold model.layers.0.self_attn.q_proj.bias, for which its config.json has no place" in message

    def test_another_shape(self, folder):
        self.change(folder, {"model.layers.1.mlp.down_proj.weight": torch.zeros(32, 47)})
        message = refused(folder)
        assert "hold model.layers.1.mlp.down_proj.weight with the shape 32 x 47" in message
        assert message.endswith("and its config.json asks for 32 x 48")

    def test_an_expert_lacks(self, tiny, tmp_path):
        tiny.hf_model("mixtral").save_pretrained(tmp_path)
        assert load_model(tmp_path)
        self.change(tmp_path, drop=r"layers\.1\..*experts\.3\.")
        assert re.search(r"layers\.1\.\S*experts", refused(tmp_path))

    def test_what_is_no_lack(self, tiny, tmp_path):
        """Tied weights that are stored once, and buffers that old versions stored."""
        made = tiny.hf_model("llama", tie_word_embeddings=True)
        made.save_pretrained(tmp_path)
        assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
        self.change(tmp_path, {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(3)})
        tokens = torch.tensor([[5, 3, 60]])
        with torch.no_grad():
            torch.testing.assert_close(load_model(tmp_path, device="cpu")(tokens), made(tokens).logits)

    def test_buffers_of_old_versions(self, tiny, tmp_path):
        for family, prefix in (("gpt2", "transformer.h.{}.attn"), ("gpt_neox", "gpt_neox.layers.{}.attention")):
            tiny.hf_model(family).save_pretrained(tmp_path / family)
            names = [prefix.format(i) + end for i in range(3) for end in (".bias", ".masked_bias")]
            self.change(tmp_path / family, {name: torch.ones(1, 1, 4, 4) for name in names})
            assert load_model(tmp_path / family)


class TestOwnCode:
    """Code that comes with a model is never run, and nobody is asked whether to."""

    CODE = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\nraise SystemExit('it ran')\n"

    @pytest.fixture
    def folder(self, tiny, tmp_path, monkeypatch):
        monkeypatch.setattr("builtins.input", lambda text="": pytest.fail(f"asked: {text}"))
        folder = tmp_path / "model"
        tiny.hf_model("llama").save_pretrained(folder)
        tiny.tokenizer.save_pretrained(folder)
        for name in ("modeling_mine", "configuration_mine", "tokenization_mine"):
            (folder / f"{name}.py").write_text(self.CODE)
        yield folder
        assert not list(tmp_path.rglob("*.ran"))

    @staticmethod
    def write(path: Path, **fields: Any) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    AUTO_MAP: ClassVar = {"AutoConfig": "configuration_mine.Mine", "AutoModelForCausalLM": "modeling_mine.Mine"}

    def test_all_calls_say_so(self):
        """Left out, transformers asks at the terminal, and runs the code if the answer is yes.

        peft loads an adapter's numbers onto a model that is there; it has no such code and no such word.
        """
        calls = 0
        for path in Path(circuitspex.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in LOADERS:
                    continue
                if ast.unparse(node.func) == "PeftModel.from_pretrained":
                    continue
                said = {word.arg: word.value for word in node.keywords}.get("trust_remote_code")
                assert isinstance(said, ast.Constant), f"{path}, line {node.lineno}"
                assert said.value is False, f"{path}, line {node.lineno}"
                calls += 1
        assert calls >= 6

    def test_a_model(self, folder):
        self.write(folder / "config.json", model_type="mine", auto_map=self.AUTO_MAP)
        assert refused(folder) == (
            f"{folder} needs code that comes with it (configuration_mine.py, modeling_mine.py), which is never run here"
        )

    def test_a_class_for_a_known_configuration(self, folder):
        self.write(
            folder / "config.json", model_type="vit", auto_map={"AutoModelForCausalLM": "x/y--modeling_mine.Mine"}
        )
        assert "needs code that comes with it (modeling_mine.py)" in refused(folder)

    def test_a_tokenizer(self, folder):
        own = {"AutoTokenizer": ["tokenization_mine.Mine", "tokenization_mine.Mine"]}
        self.write(folder / "tokenizer_config.json", tokenizer_class="MineTokenizer", auto_map=own)
        assert refused(folder) == f"the tokenizer in {folder} needs code that comes with it, which is never run here"

    def test_what_transformers_has_itself_is_used_instead(self, folder, tiny):
        self.write(folder / "config.json", auto_map=self.AUTO_MAP)
        tokens = torch.tensor([[5, 3, 60]])
        with torch.no_grad():
            own = tiny.hf_model("llama")(tokens).logits
        torch.testing.assert_close(load_model(folder, device="cpu")(tokens), own, atol=1e-5, rtol=1e-5)

    def test_the_hub(self, folder, tmp_path, monkeypatch):
        """What was downloaded once is loaded again without network: the same path as from the hub."""
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        kept = tmp_path / "hub" / "models--someone--mine"
        snapshot = kept / "snapshots" / ("a" * 40)
        (kept / "refs").mkdir(parents=True)
        (kept / "refs" / "main").write_text("a" * 40)
        shutil.copytree(folder, snapshot)
        assert load_model("someone/mine").tokenizer is not None
        own = {"AutoTokenizer": ["tokenization_mine.Mine", "tokenization_mine.Mine"]}
        self.write(snapshot / "tokenizer_config.json", tokenizer_class="MineTokenizer", auto_map=own)
        assert "the tokenizer of 'someone/mine' needs code that comes with it" in refused("someone/mine")
        shutil.copy(folder / "tokenizer_config.json", snapshot)
        self.write(snapshot / "config.json", model_type="mine", auto_map=self.AUTO_MAP)
        assert refused("someone/mine").startswith("'someone/mine' needs code that comes with it (configuration_mine.py")
        shutil.copy(folder / "config.json", snapshot)
        torch.save(AutoModelForCausalLM.from_pretrained(folder).state_dict(), snapshot / "pytorch_model.bin")
        (snapshot / "model.safetensors").unlink()
        assert "can't load 'someone/mine'" in refused("someone/mine")
