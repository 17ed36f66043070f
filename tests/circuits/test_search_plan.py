"""What a plan says of a search holds of the search that runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import circuitspex as cx
from circuitspex.errors import NoGradientError, UserError

ASKED: dict[str, Any] = {"budget": 60, "n_heldout": 30, "n_contexts": 3, "n_random": 5, "max_nodes": 4}


@pytest.fixture
def asked(tiny: Any) -> tuple[Any, Any]:
    model = tiny.bridge("llama", seed=2)
    return model, tiny.task(model, (5,) * 12)


@pytest.mark.filterwarnings("ignore")
def test_a_search_runs_what_was_planned_and_no_more(asked: tuple[Any, Any]) -> None:
    planned = cx.plan(*asked, "heads+mlps", **ASKED, max_interactions=3)
    found = cx.find_circuit(
        *asked, "heads+mlps", **ASKED, max_interactions=3, directions=False, progress=False, method="auto"
    )
    stages = {stage.name: stage for stage in planned.stages}
    run = found.circuit.run
    assert (stages["decoding"].ablations, stages["decoding"].gradients) == (run["gradient_ablations"], True)
    assert stages["R²"].ablations == run["heldout_ablations"]
    pairs_only = all(each.order == 2 for each in (*found.circuit.interactions, *found.circuit.dropped))
    assert not pairs_only or 0 < run["measurement_ablations"] <= stages["measuring"].ablations
    assert found.verification is not None
    assert stages["verifying"].prompts == found.verification.n_prompts == 3
    assert stages["verifying"].ablations == 2 + 2 * (1 + found.verification.n_random)
    assert planned.n_prompts == found.circuit.task["n_prompts"] == 9
    assert planned.n_components == run["n_components"]
    assert planned.ablations >= found.n_run > 0
    assert planned.executor == run["executor"]
    assert planned.kept_bytes == run["memory_estimate_bytes"]
    assert planned.weights_bytes == sum(p.numel() * p.element_size() for p in asked[0].parameters())


def test_seconds_and_passes_add_up(asked: tuple[Any, Any]) -> None:
    planned = cx.plan(*asked, **ASKED)
    told = replace(planned, n_prompts=9, seconds_forward=0.5, seconds_backward=2.0)
    decoding, scoring, measuring, verifying = told.stages
    assert [told.seconds_of(each) for each in (decoding, scoring)] == [120.0, 15.0]
    assert told.seconds_of(verifying) == pytest.approx(verifying.ablations * 0.5 * 3 / 9)
    assert told.seconds == pytest.approx(sum(map(told.seconds_of, told.stages)))
    assert told.passes == 9 * (60 * 2 + 30 + measuring.ablations) + 3 * verifying.ablations
    lines = str(told).splitlines()
    assert len(lines) == 3 + len(told.stages) + 2
    assert "120.0  with gradients" in lines[3]
    assert planned.seconds_forward > 0
    assert planned.seconds_backward is not None


def test_without_gradients(asked: tuple[Any, Any]) -> None:
    model, task = asked
    planned = cx.plan(model, task, method="proxyspex", **ASKED)
    assert planned.seconds_backward is None
    assert not any(stage.gradients for stage in planned.stages)
    rounded = cx.Task.from_examples(model, task.examples, metric=lambda logits: logits.argmax(-1).float())
    assert cx.plan(model, rounded, **ASKED).seconds_backward is None
    with pytest.raises(NoGradientError):
        cx.plan(model, rounded, method="gradspex", **ASKED)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"components": "edges"}, "plan is for components"), ({"budget": 1}, "budget"), ({"timed": 0}, "timed")],
)
def test_what_is_refused(asked: tuple[Any, Any], wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        cx.plan(*asked, **{**ASKED, **wrong})
