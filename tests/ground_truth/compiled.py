"""Transformers that Tracr compiled from RASP programs, read from the files that ``tools/make_tracr.py`` wrote."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import PreTrainedTokenizerFast

from circuitspex.tasks import Example, Task

FOLDER = Path(__file__).parent / "tracr"
LETTERS, LENGTH = "abc", 5
PROGRAMS: Mapping[str, Any] = json.loads((FOLDER / "programs.json").read_text())
"""By name: what it says, the model's configuration, its vocabulary, its circuit, and its outputs."""


def build(name: str) -> Any:
    """The compiled model, with its tokenizer."""
    about = PROGRAMS[name]
    cfg = TransformerBridgeConfig(**about["config"], act_fn="relu", normalization_type=None, seed=0)
    model = TransformerBridge.boot_native(cfg)
    model.tokenizer = _tokenizer(about["vocabulary"])
    weights = load_file(FOLDER / f"{name}.safetensors")
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            wanted = weights.pop(key.replace("_original_component.", ""), None)
            parameter.zero_() if wanted is None else parameter.copy_(wanted)
    assert not weights, f"{name}: the model has no place for {', '.join(weights)}"
    return model.eval()


def outputs(name: str) -> dict[str, str]:
    """What the program means for the last token of every sequence for which it means anything."""
    words = [" ".join(letters) for letters in product(LETTERS, repeat=LENGTH)]
    return {text: said for text, said in zip(words, PROGRAMS[name]["outputs"], strict=True) if said is not None}


def task(name: str, model: Any, n_prompts: int = 32, seed: int = 0) -> Task:
    """As many prompts of every output; each beside the most similar prompts that have another output."""
    said, rng = outputs(name), random.Random(seed)
    by_output = {value: [text for text in said if said[text] == value] for value in sorted(set(said.values()))}
    examples = []
    for i in range(n_prompts):
        values = list(by_output)
        prompt = rng.choice(by_output[values[i % len(values)]])
        others = [text for text in said if said[text] != said[prompt]]
        unlike = {text: sum(a != b for a, b in zip(text, prompt, strict=True)) for text in others}
        near = [text for text in others if unlike[text] == min(unlike.values())]
        other = rng.choice(near)
        examples.append(Example(prompt, other, f" {said[prompt]}", f" {said[other]}"))
    return Task.from_examples(model, examples, name=name, prepend_bos=True)


def _tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate([*words, "<unk>"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="bos", unk_token="<unk>", pad_token="bos")
