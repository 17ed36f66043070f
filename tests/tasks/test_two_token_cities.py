"""A real model knows capitals of two tokens, and the circuit for them is found and verified."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import circuitspex as cx
from circuitspex.tasks._capitals import QUESTIONS
from circuitspex.tasks.vocabulary import Vocabulary
from circuitspex.tasks.words import CAPITALS

pytestmark = pytest.mark.real_model


@pytest.fixture(scope="module")
def model() -> Any:
    return cx.load_model("smollm2-135m")


def cities(model: Any, n_questions: int) -> cx.Task:
    """Countries of one token whose capital is two, each asked for in some of the questions."""
    vocabulary = Vocabulary.of(model)
    two = {
        country: city
        for country, city in CAPITALS.items()
        if len(vocabulary.continuation_ids("of", f" {country}")) == 1
        and len(vocabulary.continuation_ids("of", f" {city}")) == 2
    }
    asked = [(question.format(country), country) for question in QUESTIONS[:n_questions] for country in two]
    pairs = cx.tasks.counterfactuals(
        model, [text for text, _ in asked], [c for _, c in asked], list(two), name="country"
    )
    examples = pairs.examples([f" {two[each.piece]}" for each in pairs], [f" {two[each.word]}" for each in pairs])
    return cx.Task.from_examples(model, examples, metric="logprob_diff", name="cities of two tokens")


def test_the_model_knows_them(model: Any) -> None:
    task = cities(model, 1)
    report = task.report(model)
    assert report.accuracy >= 0.9
    assert report.mean_metric > 5
    assert task.answer_lengths is not None
    assert task.answer_lengths.tolist() == [2] * len(task)
    first = [*task.tokens[0, : int(task.lengths[0])].tolist(), *task.answers[0].tolist()]
    with torch.no_grad():
        steps = torch.log_softmax(model.original_model(torch.tensor([first])).logits[0], -1)
    plain = float(steps[-3, first[-2]] + steps[-2, first[-1]])
    found = task.with_metric("answer_logprob").subset([0]).report(model).mean_metric
    assert found == pytest.approx(plain, abs=1e-3)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_their_circuit_is_found_and_verified(model: Any) -> None:
    found = cx.find_circuit(model, cities(model, 2), components="heads", budget=150, seed=0, progress=False)
    verification = found.circuit.verification
    assert verification is not None
    assert verification.n_prompts == 4
    assert len(found.circuit.nodes) >= 3
    assert verification.circuit_kept.value > verification.random_kept.value + 1
    assert verification.circuit_removed.value < verification.random_removed.value - 1
