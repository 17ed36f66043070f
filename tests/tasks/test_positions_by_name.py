"""The built-in tasks name tokens of their prompts, whatever the tokenizer is."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from circuitspex.tasks import TASKS, Example, Task, build
from circuitspex.tasks.characters import characters_of, tokens_of, written
from circuitspex.tasks.vocabulary import Vocabulary
from tests.tasks.conftest import bare, byte_pair, corpus, word_level

NAMES = {
    "ioi": ("IO", "S1", "S2", "END"),
    "greater_than": ("noun", "XX1", "YY", "XX2", "END"),
    "induction": ("first", "next", "repeat", "END"),
    "capitals": ("country", "END"),
    "gendered_pronoun": ("name", "END"),
}


class Slow:
    """A tokenizer that can't say which characters its tokens stand for, as those written in Python can't."""

    def __init__(self, fast: PreTrainedTokenizerFast) -> None:
        self._fast = fast

    def __getattr__(self, name):
        return getattr(self._fast, name)

    def __call__(self, text, return_offsets_mapping=False, **options):
        if return_offsets_mapping:
            raise NotImplementedError("return_offset_mapping is not available when using Python tokenizers")
        return self._fast(text, **options)


def all_bytes() -> PreTrainedTokenizerFast:
    """Byte pairs that know every byte, so that a character may be several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")


def pieces() -> PreTrainedTokenizerFast:
    """As SentencePiece does it: a space is put before the text, and is part of the word that follows."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>"], show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")


def lowered() -> PreTrainedTokenizerFast:
    tokenizer = all_bytes()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


TOKENIZERS = {
    "words": word_level,
    "byte pairs": byte_pair,
    "words, slow": lambda: Slow(word_level()),
    "byte pairs, slow": lambda: Slow(byte_pair()),
}


@pytest.fixture(scope="module", params=[(name, bos) for name in TOKENIZERS for bos in (False, True)], ids=str)
def any_tokenizer(request) -> SimpleNamespace:
    name, bos = request.param
    return bare(TOKENIZERS[name](), prepend_bos=bos)


def said(task: Task, tokenizer, prompt: int, name: str) -> str:
    tokens = [int(task.tokens[prompt, at]) for at in task.spans(name)[prompt]]
    return "".join(tokenizer.decode([token]).strip() for token in tokens)


@pytest.mark.some(4)
@pytest.mark.parametrize("name", list(TASKS))
def test_named_tokens_spell_what_they_are_named_for(name, any_tokenizer):
    task = build(name, any_tokenizer, n_prompts=12)
    assert task.position_names == NAMES[name]
    for i, example in enumerate(task.examples):
        found = {each: said(task, any_tokenizer.tokenizer, i, each) for each in task.position_names}
        at = {each: task.spans(each)[i] for each in task.position_names}
        assert at["END"] == (task.tokens.shape[1] - 1,)
        if name == "ioi":
            assert found["IO"] == example.answer.strip()
            assert found["S1"] == found["S2"] == example.wrong_answer.strip()
            assert max(at["S1"], at["IO"]) < at["S2"]
        elif name == "greater_than":
            noun, century, year = re.findall(r"The (\w+) .* year (\d\d)(\d\d) to", example.prompt)[0]
            assert (found["noun"], found["XX1"], found["YY"], found["XX2"]) == (noun, century, year, century)
            assert at["XX1"] < at["YY"] < at["XX2"]
            assert at["XX2"][-1:] == at["END"]
        elif name == "induction":
            words = example.prompt.split()
            assert (found["first"], found["next"]) == (words[-1], example.answer.strip())
            assert found["repeat"] == words[1]
            assert at["next"][0] == at["first"][-1] + 1
            assert at["repeat"][0] > at["next"][0]
        elif name == "capitals":
            assert found["country"] in example.prompt
            assert found["country"] not in example.counterfactual
        else:
            assert found["name"] == example.prompt.split()[1]


@pytest.mark.parametrize("name", list(TASKS))
def test_names_are_no_part_of_what_values_are_stored_under(name, word_model):
    task = build(name, word_model, n_prompts=4)
    bare_examples = [Example(e.prompt, e.counterfactual, e.answer, e.wrong_answer) for e in task.examples]
    assert Task.from_examples(word_model, bare_examples, reference=task.reference).identity == task.identity


HARD = "So naïve Zoë 🧑‍🚀 said:\n  “Mary  &  John” went"


@pytest.mark.parametrize("made", [word_level, byte_pair, all_bytes, pieces, lowered], ids=lambda made: made.__name__)
@pytest.mark.parametrize("bos", [False, True])
def test_decoding_says_what_a_fast_tokenizer_says(made, bos):
    fast = Vocabulary.of(bare(made(), prepend_bos=bos))
    slow = Vocabulary.of(bare(Slow(made()), prepend_bos=bos))
    for text in (HARD, "When Mary and John went to the store", " the  year 1732 "):
        given, counted = characters_of(fast, text), characters_of(slow, text)
        if counted is None:  # tokens that do not spell the text can't be counted
            assert made not in (all_bytes, lowered)
            assert text == HARD
            continue
        assert len(given) == len(counted) == len(fast.prompt_ids(text))
        for match in re.finditer(r"\S+", text):
            assert tokens_of(given, text, match.span()) == tokens_of(counted, text, match.span())


def test_a_prompt_in_pieces_knows_where_they_stand():
    prompt = written("So ", ("name", "Mary"), " is ", ("rest", "a good friend"))
    assert prompt.text == "So Mary is a good friend"
    assert {name: prompt.text[slice(*at)] for name, at in prompt.named.items()} == {
        "name": "Mary",
        "rest": "a good friend",
    }
