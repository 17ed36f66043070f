"""Tiny models with a tokenizer whose words are several tokens, for the tests of the token lens."""

from __future__ import annotations

import functools
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from circuitspex.models.load import _bridge

TEMPLATE = (
    "{% for message in messages %}{{ '<s>' + message['role'] + '\n' + message['content'] | trim + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}"
)


@functools.cache
def letters(special: bool = True) -> PreTrainedTokenizerFast:
    """One token a byte, so that every word is several tokens; without special ones it lacks mask, pad and unk."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate(["<s>", *(["<pad>"] if special else []), *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    own = {"bos_token": "<s>", "eos_token": "<s>", **({"pad_token": "<pad>"} if special else {})}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **own)


@functools.cache
def letter_bridge(make_hf_model: Any, special: bool = True, chat: bool = False) -> Any:
    """A tiny Llama over bytes."""
    tokenizer = letters(special)
    tokenizer.chat_template = TEMPLATE if chat else None
    model = make_hf_model("llama", torch.float64, vocab_size=len(tokenizer), max_position_embeddings=128)
    return _bridge("letters", model, tokenizer, torch.float64, torch.device("cpu"))
