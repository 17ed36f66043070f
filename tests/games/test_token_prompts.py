"""A prompt in players: words of several tokens, sentences, spans, chat templates, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_prompts import letter_bridge

from circuitspex.errors import UserError
from circuitspex.games import TokenGame
from circuitspex.games.tokens import spans, split_prompt


@pytest.fixture
def letters(tiny: SimpleNamespace) -> Any:
    return letter_bridge(tiny.hf_model)


@pytest.fixture
def chatty(tiny: SimpleNamespace) -> Any:
    return letter_bridge(tiny.hf_model, chat=True)


def test_a_word_of_several_tokens_is_one_player(letters: Any) -> None:
    prompt = split_prompt(letters, "not good, not bad")
    assert prompt.names == ("not", "good,", "not#2", "bad")
    # A space is a token of its own here and belongs to no word.
    assert [player.positions for player in prompt.players] == [(0, 1, 2), (4, 5, 6, 7, 8), (10, 11, 12), (14, 15, 16)]
    assert [prompt.text[p.start : p.end] for p in prompt.players] == ["not", "good,", "not", "bad"]


def test_tokens_are_players_and_a_character_of_several_tokens_is_one(letters: Any) -> None:
    prompt = split_prompt(letters, "né 😀", "tokens")
    assert prompt.names == ("n", "é", "␣", "😀")
    assert [len(player.positions) for player in prompt.players] == [1, 2, 1, 4]


def test_sentences(letters: Any) -> None:
    text = 'Was it "good?" It was 3.5 stars.  No!\nReally'
    prompt = split_prompt(letters, text, "sentences")
    assert prompt.names == ('Was it "good?"', "It was 3.5 stars.", "No!", "Really")


def test_spans_of_the_user_in_any_order(letters: Any) -> None:
    prompt = split_prompt(letters, "one two three", [(8, 13), (0, 7)])
    assert prompt.names == ("one two", "three")
    assert prompt.players[0].positions == tuple(range(7)) or prompt.players[0].positions == (0, 1, 2, 3, 4, 5, 6)


def test_only_a_part_is_split(letters: Any) -> None:
    prompt = split_prompt(letters, "it was not. it was", part="it was")
    assert [(player.start, player.end) for player in prompt.players] == [(12, 14), (15, 18)]


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet="ab é.?\n日😀", min_size=1, max_size=24))
def test_players_own_their_characters_and_no_other_token(tiny: Any, text: str) -> None:
    model = letter_bridge(tiny.hf_model)
    for unit in ("words", "tokens", "sentences"):
        if not text.strip():
            with pytest.raises(UserError, match="empty"):
                split_prompt(model, text, unit)
            continue
        prompt = split_prompt(model, text, unit)
        owned = [position for player in prompt.players for position in player.positions]
        assert len(set(owned)) == len(owned)
        assert len(set(prompt.names)) == len(prompt.names)
        for player in prompt.players:
            decoded = model.tokenizer.decode([prompt.ids[p] for p in player.positions])
            assert decoded.strip() == text[player.start : player.end].strip()
        covered = {i for player in prompt.players for i in range(player.start, player.end)}
        assert all(text[i].isspace() for i in range(len(text)) if i not in covered)


def test_unique_names_also_where_a_word_looks_like_one(letters: Any) -> None:
    assert split_prompt(letters, "a a#2 a a").names == ("a", "a#2", "a#3", "a#4")


def test_chat_template_tokens_are_never_ablated(chatty: Any) -> None:
    game = TokenGame(chatty, " not good? ", "y", chat=True, ablate="token")
    assert game.prompt.rendered == "<s>user\nnot good?\n<s>assistant\n"
    assert game.prompt.text == "not good?"
    assert game.names == ("not", "good?")
    text = [chatty.tokenizer.decode([token]) for token in game.prompt.ids]
    assert "".join(text[p] for player in game.players for p in player.positions) == "notgood?"
    messages = [
        {"role": "system", "content": "good?"},
        {"role": "user", "content": "good?"},
        {"role": "assistant", "content": "good?"},
        {"role": "user", "content": "good?"},
        {"role": "assistant", "content": "good?"},
    ]
    long = TokenGame(chatty, messages, "y", chat=True, ablate="token")
    assert long.names == ("good?",)
    before = "<s>system\ngood?\n<s>user\ngood?\n<s>assistant\ngood?\n<s>user\n"
    assert long.players[0].positions[0] == len(chatty.tokenizer(before, add_special_tokens=False)["input_ids"])


def test_special_tokens_in_the_text_are_never_ablated(letters: Any) -> None:
    assert split_prompt(letters, "<s>a<pad>b", "tokens").names == ("a", "b")
    assert split_prompt(letters, "<s>a b", "words").players[0].positions == (1,)


def test_a_bos_token_is_put_first_and_never_ablated(tiny: SimpleNamespace) -> None:
    model = tiny.fresh_bridge("llama")
    model.cfg.default_prepend_bos = True
    game = TokenGame(model, "w1 w2", " w3")
    assert game.prompt.ids[0] == model.tokenizer.bos_token_id
    assert [player.positions for player in game.players] == [(1,), (2,)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"prompt": "  "}, "the prompt is empty"),
        ({"prompt": 3}, "the prompt is a text, not int"),
        ({"unit": "letters"}, "unknown unit 'letters'; allowed: words, tokens, sentences"),
        ({"unit": [(0, 40)]}, r"span \(0, 40\) is not inside the prompt, which has 11 characters"),
        ({"unit": [(4, 4)]}, r"span \(4, 4\) is not inside the prompt"),
        ({"unit": [(3, 4)]}, "holds nothing but white space"),
        ({"unit": [(0, 5), (4, 8)]}, r"spans \(0, 5\) and \(4, 8\) overlap"),
        ({"unit": []}, "no spans were given"),
        ({"unit": [(0, 1.5)]}, "a span is a pair"),
        ({"part": "elsewhere"}, "the part 'elsewhere' is not in the prompt"),
        ({"ablate": "zero"}, "unknown way to ablate 'zero'; allowed: token, mean, delete, attention"),
        ({"ablate": "token", "token": "mask"}, r"has no mask token \(it has pad\)"),
        ({"ablate": "token", "token": "ab"}, "the replacement 'ab' is 2 tokens"),
        ({"ablate": "token", "token": 9999}, "there is no token 9999"),
        ({"answer": ""}, "the answer '' has no tokens"),
        ({"answer": None}, "the answer is a text"),
        ({"answer": "a", "wrong_answer": "a"}, "are the same; they must differ"),
        ({"metric": "logprob_diff"}, "metric 'logprob_diff' compares two answers: give a wrong answer"),
        ({"answer": "ab", "wrong_answer": "c", "metric": "logit_diff"}, r"the answer 'ab' is 2 \('a' \+ 'b'\)"),
        ({"metric": "logit_diff"}, "give a wrong answer"),
        ({"metric": "speed"}, "unknown metric 'speed'"),
        ({"prompt": "a " * 80}, "the prompt has 161 tokens, and the model's context holds 128"),
        ({"chat": True}, "has no chat template"),
        ({"first": "keep"}, "unknown way with the first token 'keep'"),
        ({"executor": "fast"}, "unknown executor 'fast'"),
        ({"batch_rows": 0}, "batch_rows must be at least 1"),
    ],
)
def test_bad_input_is_one_clear_line(letters: Any, text: dict[str, Any], message: str) -> None:
    given = {"prompt": "one two six", "answer": "y", **text}
    with pytest.raises(UserError, match=message) as caught:
        TokenGame(letters, **given)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_mask_pad_or_unk(tiny: SimpleNamespace) -> None:
    model = letter_bridge(tiny.hf_model, special=False)
    model.tokenizer.pad_token = None  # TransformerLens takes another token for it where there is none
    with pytest.raises(UserError, match="no mask, pad or unk token; name a token"):
        TokenGame(model, "one two", "y", ablate="token")
    named = TokenGame(model, "one two", "y", ablate="token", token="_")
    assert named.replaced_by == model.tokenizer("_", add_special_tokens=False)["input_ids"][0]


def test_an_answer_that_the_vocabulary_lacks(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    with pytest.raises(UserError, match="'nowhere' is not in this tokenizer's vocabulary"):
        TokenGame(model, "w1 w2", "nowhere")
    with pytest.raises(UserError, match="has no token of its own"):
        TokenGame(model, "w11 w2", " w3", unit=[(0, 1), (1, 3)])


def test_a_conversation_without_a_user_and_a_template_that_changes_words(chatty: Any) -> None:
    with pytest.raises(UserError, match="no message by the user"):
        TokenGame(chatty, [{"role": "system", "content": "x"}], "y", chat=True)
    with pytest.raises(UserError, match="messages need chat=True"):
        TokenGame(chatty, [{"role": "user", "content": "x"}], "y")
    chatty.tokenizer.chat_template = "{{ messages[0]['content'] | upper }}"
    try:
        with pytest.raises(UserError, match="changes the user's message"):
            TokenGame(chatty, "good", "y", chat=True)
    finally:
        letter_bridge.cache_clear()


def test_gates_outside_the_unit_interval_are_refused(letters: Any) -> None:
    game = TokenGame(letters, "one two", "y")
    for gates in (np.array([[0.5, np.nan]]), np.array([[0.5, 1.5]]), np.ones((2, 3), dtype=bool)):
        with pytest.raises(UserError):
            game.evaluate(gates)


def test_sentence_ranges_have_no_space_at_their_ends() -> None:
    text = "  One. Two?! “Three.” \n four "
    assert [text[start:end] for start, end in spans.sentences(text)] == ["One.", "Two?!", "“Three.”", "four"]
