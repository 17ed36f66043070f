"""Where heads look on random repeated tokens, against the attention that plain Hugging Face models give."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from plain_model import plain_and_bridge

from circuitspex.circuits.about import Patterns
from circuitspex.circuits.roles import patterns as module
from circuitspex.circuits.roles.pattern_hooks import read_heads
from circuitspex.circuits.roles.patterns import RandomTexts, patterns, random_texts
from circuitspex.circuits.roles.read_once import read_once
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import parse_component

NAMES = ("L0H1", "L2H3@-1", "L1H0", "L1M")


def subject_of(tiny: Any, model: Any, names: Any = NAMES, **options: Any) -> Subject:
    return Subject(model, tiny.task(model, (5, 5)), tuple(parse_component(name) for name in names), **options)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "gpt_neox", "qwen3"])
def test_shares_are_those_of_plain_attention(family: str, tiny: SimpleNamespace) -> None:
    """Token by token: from each to the one before, of the second half to the same one and the one after that."""
    both = plain_and_bridge(family)
    found = patterns(subject_of(tiny, both.bridge, seed=3), n_texts=4)
    assert list(found) == list(NAMES)
    assert found["L1M"] == "only heads attend, and this is no head"
    texts = random_texts(both.bridge, 4, seed=3)
    assert isinstance(texts, RandomTexts)
    with torch.no_grad():
        attentions = both.plain.model(input_ids=texts.tokens, output_attentions=True).attentions
    for name in NAMES[:3]:
        head, shares = parse_component(name), found[name]
        assert isinstance(shares, Patterns)
        sums = dict.fromkeys(("previous_token", "duplicate_token", "induction", "first"), 0.0)
        chance, count, previous = 0.0, 0, []
        for row, attention in zip(texts.tokens.tolist(), attentions[head.layer][:, head.start], strict=True):
            previous += [float(attention[query, query - 1]) for query in range(2, len(row))]
            for query in range(1 + texts.half, len(row)):
                before = row.index(row[query])
                assert 0 < before < query
                sums["duplicate_token"] += float(attention[query, before])
                sums["induction"] += float(attention[query, before + 1])
                sums["first"] += float(attention[query, 0])
                chance, count = chance + 1 / (query + 1), count + 1
        sums["previous_token"] = sum(previous) / len(previous) * count
        for kind, total in sums.items():
            estimate = getattr(shares, kind)
            assert estimate.value == pytest.approx(total / count, abs=1e-5), kind
            assert estimate.low <= estimate.value <= estimate.high
        assert shares.chance == pytest.approx(chance / count)


def test_texts_are_random_tokens_repeated_once(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    texts = random_texts(model, 8, seed=0)
    assert isinstance(texts, RandomTexts)
    assert texts.half == module.HALF
    assert tuple(texts.tokens.shape) == (8, 1 + 2 * texts.half)
    for row in texts.tokens.tolist():
        first, half = row[0], row[1 : 1 + texts.half]
        assert row[1 + texts.half :] == half
        assert len(set(half) | {first}) == 1 + texts.half
        assert not set(half) & set(model.tokenizer.all_special_ids)
    again, other = random_texts(model, 8, seed=0), random_texts(model, 8, seed=1)
    assert isinstance(again, RandomTexts)
    assert isinstance(other, RandomTexts)
    assert torch.equal(again.tokens, texts.tokens)
    assert not torch.equal(other.tokens, texts.tokens)


def test_bos_stands_first_where_the_model_has_it(tiny: SimpleNamespace) -> None:
    model = tiny.fresh_bridge("llama")
    model.cfg.default_prepend_bos = True
    with_bos = random_texts(model, 3, seed=0)
    model.cfg.default_prepend_bos = False
    without = random_texts(model, 3, seed=0)
    assert isinstance(with_bos, RandomTexts)
    assert isinstance(without, RandomTexts)
    assert with_bos.tokens[:, 0].tolist() == [model.tokenizer.bos_token_id] * 3
    assert model.tokenizer.bos_token_id not in without.tokens
    assert torch.equal(with_bos.tokens[:, 1:], without.tokens[:, 1:])


def small(context: int, vocabulary: int) -> Any:
    """What is asked of a model for texts."""
    config = SimpleNamespace(max_position_embeddings=context, eos_token_id=0, pad_token_id=[2, None])
    return SimpleNamespace(
        cfg=SimpleNamespace(d_vocab=vocabulary, default_prepend_bos=True),
        original_model=SimpleNamespace(config=config),
        tokenizer=None,
    )


def test_short_contexts_and_small_vocabularies_take_fewer_tokens() -> None:
    for context, vocabulary, half in ((12, 100, 5), (100, 13, 10), (7, 100, 3), (51, 100, 25)):
        texts = random_texts(small(context, vocabulary), 3, seed=0)
        assert isinstance(texts, RandomTexts)
        assert texts.half == half
        assert tuple(texts.tokens.shape) == (3, 1 + 2 * half)
        assert not {0, 2} & set(texts.tokens.flatten().tolist())
        assert int(texts.tokens.max()) < vocabulary
    for context, vocabulary, words in ((6, 100, "a context of 6 tokens"), (100, 5, "a vocabulary of 3 tokens")):
        assert random_texts(small(context, vocabulary), 3, seed=0) == f"the model has {words}, too few for random texts"


def test_a_layer_that_shows_no_pattern_says_why(tiny: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.bridge("llama")
    subject = subject_of(tiny, model)

    def refuse(*given: Any) -> dict[int, str]:
        return {1: "has a pattern of its own"}

    monkeypatch.setattr(module, "read_once", refuse)
    found = patterns(subject, n_texts=2)
    assert found["L1H0"] == "layer 1 has a pattern of its own"
    monkeypatch.setattr(module, "random_texts", lambda *_: "too short")
    assert patterns(subject, n_texts=2)["L0H1"] == "too short"
    assert patterns(subject_of(tiny, model, ("L1M",))) == {"L1M": "only heads attend, and this is no head"}


def test_heads_that_are_known_are_seen() -> None:
    """Patterns made by hand: each kind has all of its own attention, and what the others have of it by chance."""
    half = 4
    length = 1 + 2 * half
    for at, offset, start in ((0, 1, 2), (1, half, 1 + half), (2, half - 1, 1 + half)):
        attention = np.zeros((2, length, length))
        for query in range(start, length):
            attention[:, query, query - offset] = 1
        shares = module._shares(attention, half)
        assert shares[:, at].tolist() == [1.0, 1.0]
        assert shares.sum() == 2


def test_what_several_measurements_ask_about_is_run_once(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    subject, tokens, heads = subject_of(tiny, model), tiny.task(model).tokens, {0: [1], 2: [3, 0]}
    runs: list[int] = []
    handle = model.blocks[0].register_forward_hook(lambda *about: runs.append(1))
    try:
        assert subject.structure.n_layers == 3
        runs.clear()
        first, again, plain = [], [], []
        read_once(subject, tokens, heads, lambda *given: first.append(given))
        n_runs = len(runs)
        read_once(subject, tokens, heads, lambda *given: again.append(given))
        assert len(runs) == n_runs > 0
        read_once(subject, tokens, {0: [1]}, lambda *given: None)
        assert len(runs) > n_runs
    finally:
        handle.remove()
    read_heads(model, subject.structure, tokens, heads, lambda *given: plain.append(given))
    for one, two, three in zip(first, again, plain, strict=True):
        assert one[2] is two[2]
        assert torch.equal(one[2].pattern, three[2].pattern)
        assert torch.equal(one[2].values, three[2].values)
