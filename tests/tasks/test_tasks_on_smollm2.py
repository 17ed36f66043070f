"""A real model can do the built-in tasks, and its counterfactuals take the preference away."""

from __future__ import annotations

import dataclasses

import pytest

from circuitspex.tasks import TASKS, build

pytestmark = pytest.mark.real_model


@pytest.fixture(scope="module")
def model():
    from circuitspex.models import load_model

    return load_model("smollm2-135m")


@pytest.mark.some(3)
@pytest.mark.parametrize("name", list(TASKS))
def test_model_can_do_the_task(name, model, recwarn):
    task = build(name, model, n_prompts=32)
    report = task.report(model)
    assert report.accuracy >= 0.9
    assert report.mean_metric > 3.0
    assert not [w for w in recwarn if "a circuit for it means little" in str(w.message)]
    under_counterfactual = dataclasses.replace(task, tokens=task.counterfactual_tokens)
    assert under_counterfactual.accuracy(model) <= 0.75


def test_ioi_prompts_are_fourteen_tokens(model):
    assert build("ioi", model).tokens.shape == (16, 14)


def test_first_prediction_is_the_answer(model):
    report = build("capitals", model).report(model)
    assert report.top_predictions[0][0] == report.answer
