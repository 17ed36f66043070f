"""The token lens on a real model: a negation and its adjective, a chat template, a prompt of a thousand words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import circuitspex as cx

EXAMPLES = (
    "Review: The acting was superb and I loved it.\nSentiment: positive\n"
    "Review: A dull story with an awful ending.\nSentiment: negative\n"
)


@pytest.fixture(scope="module")
def model() -> Any:
    return cx.load_model("smollm2-135m")


@pytest.mark.real_model
@pytest.mark.some(2)
@pytest.mark.parametrize("way", ["delete", "attention"])
def test_not_turns_an_adjective_round(model: Any, way: str) -> None:
    review = "The band was not poor."
    prompt = f"{EXAMPLES}Review: {review}\nSentiment:"
    game = cx.TokenGame(model, prompt, " positive", " negative", part=review, ablate=way)
    masks = ((np.arange(32)[:, None] >> np.arange(5)) & 1).astype(bool)
    found = cx.decode(masks, game(masks), names=game.names, method="auto")
    assert found.effect("not", "poor.") > 0.3


@pytest.mark.real_model
def test_a_chat_prompt_keeps_its_template(model: Any) -> None:
    game = cx.TokenGame(model, "Is Paris in France?", "Yes", "No", chat=True, ablate="mean")
    assert game.names == ("Is", "Paris", "in", "France?")
    assert game.executor.startswith("batched, the first")
    assert game.prompt.rendered.startswith("<|im_start|>system")
    assert game.prompt.rendered.endswith("assistant\n")
    run = game.evaluate(np.ones((1, 4), dtype=bool), gradients=True)
    assert run.gradients is not None
    assert np.isfinite(run.gradients).all()


@pytest.mark.long
@pytest.mark.real_model
def test_a_prompt_of_a_thousand_words(model: Any) -> None:
    text = " ".join(["The weather was fine and we walked along the river."] * 100)
    game = cx.TokenGame(model, text, " The", ablate="delete", batch_rows=1)
    assert game.n_players == 1000
    masks = cx.sample_masks(1000, 1, keep=0.5, seed=0)
    assert np.isfinite(game(masks)).all()
