"""Scores of edges beside plain Hugging Face modules with plain hooks."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
from edge_attribution_reference import PlainEdges


def unchanged(own: Any, other: Any) -> list[Any]:
    return [{}]


def inputs(own: Any, other: Any, steps: int = 3) -> list[Any]:
    return [{"emb": other["emb"] + k / steps * (own["emb"] - other["emb"])} for k in range(steps)]


def activations(own: Any, other: Any, steps: int = 2) -> list[Any]:
    names = [name for name in own if name == "emb" or name[0] in "zm"]
    return [
        {name: (other[name] + k / steps * (own[name] - other[name])).detach()}
        for name in names
        for k in range(1, steps + 1)
    ]


@pytest.mark.some(4)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("method", "ways", "passes"),
    [
        ("eap", unchanged, 1),
        ("eap-ig-inputs", inputs, 3),
        ("eap-ig-activations", activations, 14),
        ("relp", unchanged, 1),
    ],
)
def test_scores_of_edges_are_those_of_plain_hooks(
    tiny: SimpleNamespace, family: str, method: str, ways: Any, passes: int, request: pytest.FixtureRequest
) -> None:
    seed = len(method)  # another model for each
    model = tiny.fresh_bridge(family, torch.float64, seed)
    task = tiny.task(model, (5, 4), seed=seed)
    plain = PlainEdges(tiny.hf_model(family, torch.float64, seed))
    request.getfixturevalue("exact")
    steps = {"eap-ig-inputs": 3, "eap-ig-activations": 2}.get(method, 5)
    found = cx.attribution_scores(model, task, "edges", method=method, steps=steps)
    if method == "relp":
        with plain.by_relevance():
            expected = plain.scores_of_edges(task, ways)
    else:
        expected = plain.scores_of_edges(task, ways)
    assert set(found.names) == set(expected)
    # Gains of norms are read in float32 by RelP; the numbers of a gate's slopes are those of double precision.
    np.testing.assert_allclose(found.values, [expected[name] for name in found.names], rtol=1e-5, atol=1e-6)
    assert found.passes == passes
    assert np.abs(found.values).max() > 0.1


def test_edges_at_one_position_and_selections_are_parts_of_all(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = tiny.task(model)
    whole = cx.attribution_scores(model, task, "edges", method="eap-ig-inputs", steps=2)
    some = cx.attribution_scores(model, task, "edges->logits", method="eap-ig-inputs", steps=2)
    np.testing.assert_allclose(some.values, [whole[name] for name in some.names], rtol=1e-4, atol=1e-5)
    placed = [
        cx.attribution_scores(model, task, f"edges->logits@{at}", method="eap-ig-inputs", steps=2).values
        for at in range(5)
    ]
    np.testing.assert_allclose(np.sum(placed, axis=0), some.values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_other_baselines_have_no_way_of_inputs_but_gates(tiny: SimpleNamespace, baseline: str) -> None:
    model = tiny.bridge("gpt2")
    task = tiny.task(model)
    game = cx.EdgeGame(model, task, "edges", baseline)
    with pytest.raises(UserError, match=f"'resample', not '{baseline}'"):
        cx.attribution_scores(game, method="eap-ig-inputs")
    last = cx.attribution_scores(game, method="eap-ig-activations", steps=1)
    assert np.isfinite(last.values).all()
    with pytest.raises(UserError, match="'nap' scores components; for edges there are: eap"):
        cx.attribution_scores(game, method="nap")


def test_a_metric_beside_the_models_own_logits(tiny: SimpleNamespace) -> None:
    """Slopes of a divergence from the model's own distribution are zero where the model is itself."""
    model = tiny.bridge("gpt2")
    task = tiny.task(model, metric="kl")
    found = cx.attribution_scores(model, task, "edges", method="eap-ig-inputs", steps=2)
    assert np.abs(found.values).max() > 1e-3
    own = cx.attribution_scores(model, task, "edges", method="relp")
    assert np.abs(own.values).max() < 1e-4


@pytest.mark.parametrize("edges", ["edges", "edges:ungrouped"])
def test_mib_scores_of_edges_are_those_of_the_game(tiny: SimpleNamespace, edges: str) -> None:
    model = tiny.bridge("llama")
    task = tiny.task(model, (5,) * 4)
    game = cx.EdgeGame(model, task, edges)
    scores = cx.attribution_scores(game, method="eap")
    report = cx.mib_scores(game, {"EAP": scores}, progress=False)
    assert report.level == "edges"
    none, every = np.zeros((1, game.n_players), dtype=bool), np.ones((1, game.n_players), dtype=bool)
    empty = float(game.evaluate(none, progress=False).values[0])
    full = float(game.evaluate(every, progress=False).values[0])
    assert report.empty == pytest.approx(empty, abs=1e-4)  # all closed is the counterfactual's run
    for place in (-2, -3):
        size = report.sizes[place]
        mask = np.zeros((1, game.n_players), dtype=bool)
        mask[0, scores.ranked()[:size]] = True
        f = (float(game.evaluate(mask, progress=False).values[0]) - empty) / (full - empty)
        assert report.curves["EAP"].values[place].value == pytest.approx(f, abs=1e-3)
    assert report.curves["EAP"].values[0].value == pytest.approx(0, abs=1e-3)
    assert report.edges["EAP"][-1] == 262  # as MIB counts them, whichever way they are taken
    part = cx.EdgeGame(model, task, "edges->logits")
    with pytest.raises(UserError, match="is of all edges, and this game has 16 of 190"):
        cx.mib_scores(part, {"a": np.zeros(part.n_players)})
