"""Tokenizers and models made here, so that no test needs a download."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def corpus() -> list[str]:
    """Sentences with every word that a built-in task may use."""
    files = ("_capitals", "_ioi", "_greater_than", "words")
    module = {name: import_module(f"circuitspex.tasks.{name}") for name in files}
    pronoun = import_module("circuitspex.tasks._gendered_pronoun")
    w, i = module["words"], module["_ioi"]
    single = [*w.FEMALE_NAMES, *w.MALE_NAMES, *w.PLAIN_WORDS, *w.CAPITALS, *w.CAPITALS.values()]
    single += [*i.MOVES, *i.PLACES, *i.GIVES, *i.OBJECTS]
    single += [*module["_greater_than"].EVENTS, *pronoun.DEGREES, *pronoun.QUALITIES, *pronoun.ROLES]
    lines = [f"the {word} and {word}, a {word} the" for word in single]
    lines += [question.format("France") for question in module["_capitals"].QUESTIONS]
    lines += ["When to the , gave a to", "So she is a good friend, isn't he", "Words: river river"]
    lines += ["The war lasted from the year 1234567890 to the year 17"]
    return lines * 3


def word_level(digits: str = r"\d") -> PreTrainedTokenizerFast:
    """A tokenizer of whole words; ``digits`` is the pattern that cuts numbers up, from the left."""
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(digits + r"|[a-zA-Z]+|[^\w\s]"), "isolated")]
    )
    found = {piece for line in corpus() for piece, _ in split.pre_tokenize_str(line)}
    found |= {f"{n:0{size}d}" for size in (1, 2, 3) for n in range(10**size)}
    vocabulary = {piece: i for i, piece in enumerate(["<unk>", "<s>", "<pad>", *sorted(found)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", pad_token="<pad>", eos_token="<s>"
    )


def byte_pair() -> PreTrainedTokenizerFast:
    """A byte-level BPE in which a word and the space before it are one token, and digits stand alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=4000, special_tokens=["<s>"], show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")


def bare(tokenizer: PreTrainedTokenizerFast, prepend_bos: bool = False) -> SimpleNamespace:
    """As much of a model as building a task needs."""
    return SimpleNamespace(tokenizer=tokenizer, cfg=SimpleNamespace(default_prepend_bos=prepend_bos))


@pytest.fixture(scope="session")
def word_model() -> SimpleNamespace:
    return bare(word_level())


@pytest.fixture(scope="session", params=["words", "words with BOS", "byte pairs"])
def any_model(request: pytest.FixtureRequest) -> SimpleNamespace:
    if request.param == "byte pairs":
        return bare(byte_pair())
    return bare(word_level(), prepend_bos="BOS" in request.param)


@pytest.fixture(scope="session")
def poor_model() -> SimpleNamespace:
    """One whose tokenizer knows no word at all."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return bare(PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>"))


@pytest.fixture(scope="session")
def two_digit_model() -> SimpleNamespace:
    return bare(word_level(r"\d{1,2}"))


@pytest.fixture(scope="session")
def three_digit_model() -> SimpleNamespace:
    return bare(word_level(r"\d{1,3}"))


class PlannedModel(torch.nn.Module):
    """Gives the answer of the first ``n_right`` prompts that it is asked about, and the wrong answer of the others."""

    def __init__(self, task, n_right: int, vocab: int) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(3.0))
        self.cfg = SimpleNamespace(d_vocab=vocab, default_prepend_bos=False)
        self.batches: list[int] = []
        self.plan = {}
        for group in task.groups:
            for row, i in enumerate(group.indices.tolist()):
                chosen = group.answers if i < n_right else group.wrong_answers
                self.plan[tuple(group.tokens[row].tolist())] = int(chosen[row])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        self.batches.append(len(tokens))
        logits = torch.zeros(*tokens.shape, self.cfg.d_vocab)
        for row, ids in enumerate(tokens.tolist()):
            logits[row, -1, self.plan[tuple(ids)]] = 1.0
        return logits * self.scale


@pytest.fixture(scope="session")
def planned_model():
    def make(task, n_right: int, tokenizer: PreTrainedTokenizerFast) -> PlannedModel:
        model = PlannedModel(task, n_right, len(tokenizer))
        model.tokenizer = tokenizer
        return model

    return make


@pytest.fixture(scope="session")
def tiny_bridge():
    """A random Llama behind a real TransformerBridge."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    tokenizer = word_level()
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).eval()
    bridge = build_bridge_from_module(
        model, "LlamaForCausalLM", hf_config=config, tokenizer=None, dtype=torch.float32, model_name="tiny"
    )
    bridge.tokenizer = tokenizer
    bridge.cfg.default_prepend_bos = False
    return bridge
