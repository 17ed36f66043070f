"""Tiny random models of many families behind real TransformerBridges, and tasks for them. Nothing is downloaded."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Models here are tiny, and two tests run at a time: more threads would only wait for each other.
os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
os.environ["OPENBLAS_NUM_THREADS"] = os.environ.get("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch

# Kernels run compiled where there is a GPU, else in Triton's interpreter. Which one is decided when Triton is first
# imported, and other packages import it: hence here, before them, and not beside the tests that need it.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
    sys.path.append(str(Path(__file__).parent))  # other processes import this file as a part of ``tests``
    from older_interpreter import mend

    mend()

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from circuitspex.models.load import _bridge
from circuitspex.tasks import Example, Task

# Tests name a store where they need one; none writes into the user's own.
os.environ["CIRCUITSPEX_STORE"] = "off"
# Nor is anything taken from what an earlier run found out, which other code may have found.
os.environ["CIRCUITSPEX_REMEMBER"] = "off"


@pytest.hookimpl(tryfirst=True)  # before those marked ``long`` are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test marked ``some(n)`` all cases but one in ``n`` are ``long``: those along the diagonals of its grid.

    So each value of each parameter is tried every day, with some values of the others, and each combination before a
    release. The longest files come first, so that no process is left with one of them when the others are done.
    """
    items.sort(key=lambda item: "tests/integration/" not in item.nodeid)
    seen: dict[str, int] = {}
    for item in items:
        mark = item.get_closest_marker("some")
        if mark is None:
            continue
        (n,), name = mark.args, item.nodeid.partition("[")[0]
        place = seen[name] = seen.get(name, -1) + 1
        if (place + place // n) % n:
            item.add_marker(pytest.mark.long)


N_LAYERS = 3
N_HEADS = 4
N_NEURONS = 48
WORDS = [f"w{i}" for i in range(58)]

_SIZES = {
    "hidden_size": 32,
    "intermediate_size": N_NEURONS,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "max_position_embeddings": 64,
}
_GROUPED = {**_SIZES, "num_key_value_heads": 2}
_OWN_IDS = {"pad_token_id": 2, "bos_token_id": 1, "eos_token_id": 1}
_WINDOWED = {**_GROUPED, "head_dim": 8, "sliding_window": 3, "query_pre_attn_scalar": 8}

# Each family: the name of the class and the fields of its configuration.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", _GROUPED),
    "gpt2": (
        "GPT2",
        {"n_embd": 32, "n_inner": N_NEURONS, "n_layer": N_LAYERS, "n_head": N_HEADS, "n_positions": 64},
    ),
    "gpt_neox": ("GPTNeoX", {**_SIZES, "rotary_pct": 0.5, "use_parallel_residual": True}),
    "qwen2": ("Qwen2", _GROUPED),
    "qwen3": ("Qwen3", {**_GROUPED, "head_dim": 8}),
    "gemma2": ("Gemma2", {**_WINDOWED, "final_logit_softcapping": 3.0}),
    "gemma3": ("Gemma3", _WINDOWED),
    "phi3": ("Phi3", {**_GROUPED, **_OWN_IDS}),
    "mixtral": ("Mixtral", {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}),
}
# Latent attention, with heads of another width than queries and keys; routers with a correction bias; gated queries.
_LATENT = {
    **_SIZES,
    "num_key_value_heads": N_HEADS,
    "q_lora_rank": 12,
    "kv_lora_rank": 12,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 6,
    "v_head_dim": 8,
}
_SIGMOID = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
}
_GATED = {
    **_GROUPED,
    "head_dim": 8,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["full_attention", "linear_attention", "full_attention"],
}
# Made on demand, and not among the families that everything is tried on.
_MORE_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2_moe": (
        "Qwen2Moe",
        {
            **_GROUPED,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 24,
            "shared_expert_intermediate_size": 16,
        },
    ),
    "olmoe": ("Olmoe", {**_GROUPED, "num_experts": 4, "num_experts_per_tok": 2}),
    "deepseek_v3": ("DeepseekV3", {**_LATENT, **_SIGMOID, "n_group": 2, "topk_group": 1}),
    "deepseek_v2": (
        "DeepseekV2",
        {**_LATENT, **_SIGMOID, "n_group": 2, "topk_group": 1, "topk_method": "group_limited_greedy"},
    ),
    "glm4_moe_lite": (
        "Glm4MoeLite",
        {**_LATENT, **_SIGMOID, "n_group": 1, "topk_group": 1, "mlp_layer_types": ["dense", "sparse", "sparse"]},
    ),
    "youtu": ("Youtu", _LATENT),
    "glm4_moe": ("Glm4Moe", {**_GROUPED, **_SIGMOID, "head_dim": 8, "n_group": 1, "topk_group": 1}),
    "qwen3_next": (
        "Qwen3Next",
        {
            **_GATED,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 24,
            "shared_expert_intermediate_size": 16,
        },
    ),
    "qwen3_5": ("Qwen3_5", _GATED),
    "olmo2": ("Olmo2", _GROUPED),
    "bert": ("Bert", _SIZES),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": N_LAYERS, "n_head": N_HEADS}),
    "cohere": ("Cohere", _GROUPED),
    "granite": (
        "Granite",
        {**_GROUPED, "residual_multiplier": 0.22, "embedding_multiplier": 3.0, "logits_scaling": 0.5},
    ),
    "gpt_oss": (
        "GptOss",
        {**_GROUPED, "head_dim": 8, "sliding_window": 3, "num_local_experts": 2, "num_experts_per_tok": 1},
    ),
}
_CLASSES = {"GPT2": ("GPT2Config", "GPT2LMHeadModel"), "Gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM")}
_CLASSES |= {"Qwen3_5": ("Qwen3_5TextConfig", "Qwen3_5ForCausalLM"), "Bert": ("BertConfig", "BertForMaskedLM")}


@functools.cache
def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word: 61 of them, ``w0`` to ``w57`` and three special ones."""
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "<pad>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="<s>", pad_token="<pad>"
    )


def make_hf_model(family: str, dtype: torch.dtype = torch.float32, seed: int = 0, **fields: Any) -> Any:
    """A Hugging Face model with large enough random weights that every part of it matters to the logits."""
    kind, sizes = (FAMILIES | _MORE_FAMILIES)[family]
    config_name, model_name = _CLASSES.get(kind, (f"{kind}Config", f"{kind}ForCausalLM"))
    settings = {"vocab_size": len(make_tokenizer()), **_OWN_IDS, **sizes, **fields}
    config = getattr(transformers, config_name)(**settings, attn_implementation="eager")
    with torch.random.fork_rng():  # some parameters of one axis start with random numbers
        torch.manual_seed(seed)
        model = getattr(transformers, model_name)(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:  # scales of norms stay near what they were, biases become visible
                parameter.add_(0.2 * noise)
            else:
                parameter.copy_(0.3 * noise)
    model.config.architectures = [type(model).__name__]
    return model.to(dtype)


def make_bridge(family: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> Any:
    """That model wrapped, with the tokenizer of words, on the device that ``$CIRCUITSPEX_TEST_DEVICE`` names."""
    device = torch.device(os.environ.get("CIRCUITSPEX_TEST_DEVICE", "cpu"))
    model = make_hf_model(family, dtype, seed).to(device)
    return _bridge(f"tiny-{family}", model, make_tokenizer(), dtype, device)


def make_task(model: Any, lengths: Sequence[int] = (5, 5, 5), seed: int = 0, **options: Any) -> Task:
    """A task of random words, one prompt for each of ``lengths``."""
    generator = torch.Generator().manual_seed(seed)

    def text(length: int) -> str:
        return " ".join(WORDS[i] for i in torch.randint(50, (length,), generator=generator).tolist())

    examples = [Example(text(n), text(n), f" w{50 + i % 4}", f" w{54 + i % 4}") for i, n in enumerate(lengths)]
    return Task.from_examples(model, examples, group_by_length=len(set(lengths)) > 1, **options)


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """What tests build their models and tasks with; bridges are made once for each family, dtype and seed."""
    return SimpleNamespace(
        bridge=functools.cache(make_bridge),
        fresh_bridge=make_bridge,
        hf_model=make_hf_model,
        task=make_task,
        tokenizer=make_tokenizer(),
        n_layers=N_LAYERS,
        n_heads=N_HEADS,
        n_neurons=N_NEURONS,
    )


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Every family of models, one after the other."""
    return request.param


@pytest.fixture
def model(family: str, tiny: SimpleNamespace) -> Any:
    """A tiny model of the family in float32."""
    return tiny.bridge(family)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms and softmaxes in double precision too, where models compute them in float32 whatever their dtype.

    Rounding would drown finite differences. It is asked for after the model has been made, where that is of float64.
    """
    monkeypatch.setattr(torch, "float32", torch.float64)
    monkeypatch.setattr(torch, "float", torch.float64)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


@pytest.fixture
def hooks_left() -> Callable[[Any], dict[str, int]]:
    """Counts the hooks on a model: on every hook point and every module, and overridden ``forward`` of blocks."""

    def count(bridge: Any) -> dict[str, int]:
        found = {}
        for name, point in bridge.hook_dict.items():
            for side in ("fwd_hooks", "bwd_hooks"):
                found[f"{name}.{side}"] = len(getattr(point, side))
        for name, module in bridge.named_modules():
            found[f"module {name}"] = len(module._forward_hooks) + len(module._backward_hooks)
        for layer, block in enumerate(bridge.blocks):
            found[f"block {layer} forward"] = int("forward" in block.__dict__)
        return {name: n for name, n in found.items() if n}

    return count
