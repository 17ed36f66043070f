"""The first token, where attention sinks: a BOS token is put before it, or it is protected, or a warning says so."""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from token_prompts import letter_bridge

from circuitspex.circuits import Node, PromptMap, explain
from circuitspex.circuits.formats import render
from circuitspex.errors import UserError
from circuitspex.games import TokenGame
from circuitspex.games.tokens import split_prompt

PROMPT = "ab a cd"


@pytest.fixture
def model(tiny: SimpleNamespace) -> Any:
    return letter_bridge(tiny.hf_model)


def test_a_bos_token_is_put_before_the_prompt_and_every_word_is_a_player(model: Any) -> None:
    plain, found = split_prompt(model, PROMPT), split_prompt(model, PROMPT, first="auto")
    assert found == split_prompt(model, PROMPT, first="bos")
    assert found.ids == (model.tokenizer.bos_token_id, *plain.ids)
    assert found.names == ("ab", "a", "cd")
    assert [p.positions for p in found.players] == [tuple(i + 1 for i in p.positions) for p in plain.players]
    assert (found.first, found.sink) == ("bos", None)


def test_a_protected_first_token_is_never_ablated(model: Any) -> None:
    found = split_prompt(model, PROMPT, first="protect")
    assert found.ids == split_prompt(model, PROMPT).ids
    assert [(p.name, p.positions) for p in found.players] == [("ab", (1,)), ("a", (3,)), ("cd", (5, 6))]
    assert split_prompt(model, "a cd", first="protect").names == ("cd",)
    with pytest.raises(UserError, match="nothing to ablate besides the first token"):
        split_prompt(model, "a", first="protect")


def test_auto_protects_where_the_tokenizer_has_no_bos(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("circuitspex.games.tokens.prompt.bos_of", lambda tokenizer: None)
    assert split_prompt(model, PROMPT, first="auto") == split_prompt(model, PROMPT, first="protect")
    with pytest.raises(UserError, match="no BOS token to put before the prompt"):
        split_prompt(model, PROMPT, first="bos")


def test_a_prompt_that_begins_with_a_token_of_no_player_stays_as_it_is(tiny: SimpleNamespace, model: Any) -> None:
    for way in ("auto", "bos", "protect"):
        assert split_prompt(model, PROMPT, part="cd", first=way) == split_prompt(model, PROMPT, part="cd")
        assert split_prompt(model, "<s>" + PROMPT, first=way) == split_prompt(model, "<s>" + PROMPT)
        chatty = letter_bridge(tiny.hf_model, chat=True)
        assert split_prompt(chatty, PROMPT, chat=True, first=way) == split_prompt(chatty, PROMPT, chat=True)


def test_ways_are_games_of_their_own(model: Any) -> None:
    games = {way: TokenGame(model, PROMPT, "e", first=way) for way in ("bos", "protect", "ablate")}
    facts = [game._facts() for game in games.values()]
    assert all(one != other for i, one in enumerate(facts) for other in facts[:i])
    for way, game in games.items():
        assert game.describe()["run"]["first"] == way


def test_top_predictions_are_those_of_plain_hugging_face(model: Any) -> None:
    game = TokenGame(model, PROMPT, "ef")
    with torch.no_grad():
        shares = model.original_model(torch.tensor([game.prompt.ids])).logits[0, -1].softmax(-1)
    found = game.top_predictions(3)
    assert [share for _, share in found] == pytest.approx(shares.topk(3).values.tolist(), rel=1e-6)
    assert [token for token, _ in found] == [model.tokenizer.decode([i]) for i in shares.topk(3).indices.tolist()]


def test_few_words_are_said_to_be_exact_and_predictions_come_first(model: Any) -> None:
    game = TokenGame(model, PROMPT, "e", "f")
    shown = PromptMap.of(game, explain(game, budget=8, progress=False))
    assert shown.is_exact
    text = render(shown, "text")
    assert "exact: all 8 masks of 3 words were run" in text
    assert "a BOS token stands before the prompt" in text
    assert text.index("The model predicts") < text.index("Main effects")
    assert [token for token, _ in shown.top_predictions] == [token for token, _ in game.top_predictions()]
    assert "The model predicts" in render(shown, "html") or "predicts" in render(shown, "html")


@pytest.mark.parametrize(("way", "strongest", "warns"), [("ablate", 0, True), ("ablate", 1, False), ("bos", 0, False)])
def test_a_warning_says_where_the_first_token_is_the_strongest_word(
    way: Any, strongest: int, warns: bool, model: Any
) -> None:
    game = TokenGame(model, PROMPT, "e", first=way)
    found = explain(game, budget=8, progress=False)
    node = Node(game.names[strongest], 0, "word", 50.0)
    found = replace(found, circuit=replace(found.circuit, nodes=(node,), interactions=()))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        shown = PromptMap.of(game, found)
    assert [str(each.message) for each in seen] == ([shown.warning] if warns else [])
    assert ("where attention sinks" in render(shown, "text")) == (warns or way == "bos")
    assert ("warning:" in render(shown, "text")) == warns
