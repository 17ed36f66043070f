"""The field's attribution methods beside plain Hugging Face modules with plain hooks."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import circuitspex as cx
from circuitspex.circuits import nap
from circuitspex.circuits.evidence.curve import sizes_of
from circuitspex.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
from attribution_reference import Plain


def setting(tiny: SimpleNamespace, family: str, seed: int) -> tuple[Any, Any, Plain]:
    model = tiny.bridge(family, torch.float64, seed)
    return model, tiny.task(model, (5, 5, 6), seed=seed), Plain(tiny.hf_model(family, torch.float64, seed))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("seed", [0, 1])
def test_slopes_are_those_of_plain_hooks(tiny: SimpleNamespace, family: str, seed: int) -> None:
    model, task, plain = setting(tiny, family, seed)
    game = cx.ComponentGame(model, task, "heads+mlps", "resample")
    for method, shares in (("nap", [1.0]), ("nap-ig-inputs", [1 / 3, 2 / 3, 1.0])):
        found = cx.attribution_scores(game, method=method, steps=3)
        expected = plain.scores(task, shares)
        assert set(found.names) == set(expected)
        # Norms of a Llama compute in float32, which rounds the two ways apart.
        np.testing.assert_allclose(found.values, [expected[name] for name in found.names], rtol=2e-4, atol=2e-5)
        assert found.passes == (1 if method == "nap" else 3)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_relevance_is_that_of_plain_hooks(tiny: SimpleNamespace, family: str, request: pytest.FixtureRequest) -> None:
    model, task, plain = setting(tiny, family, 3)
    request.getfixturevalue("exact")
    found = cx.attribution_scores(model, task, method="relp")
    with plain.by_relevance():
        expected = plain.scores(task, [1.0])
    # Gains of norms are read in float32.
    np.testing.assert_allclose(found.values, [expected[name] for name in found.names], rtol=1e-5, atol=1e-6)
    assert np.abs(found.values - cx.attribution_scores(model, task).values).max() > 0.01


def test_relevance_changes_no_value(tiny: SimpleNamespace) -> None:
    from circuitspex.ablation.attribution.relevance_rules import with_relevance_rules
    from circuitspex.ablation.executors.dense import dense_model

    generator = torch.Generator().manual_seed(0)
    for family in ("llama", "gpt2", "gemma2", "qwen3"):
        model = tiny.bridge(family)
        game = cx.ComponentGame(model, tiny.task(model), "heads")
        dense = dense_model(model, game.structure)
        ruled = with_relevance_rules(dense)
        x = torch.randn(3, 5, int(model.cfg.d_model), generator=generator)
        x[0, 0, 0] = 0.0
        for one, other in zip(dense.layers, ruled.layers, strict=True):
            assert torch.equal(one.norm_1(x), other.norm_1(x))
            assert torch.equal(one.mlp.neurons(x), other.mlp.neurons(x.clone().requires_grad_(True)).detach())


def test_with_linear_metrics_and_paths_scores_add_up(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    game = cx.ComponentGame(model, tiny.task(model), "heads+mlps", "resample")
    run = game.evaluate(np.array([[True] * game.n_players, [False] * game.n_players]))
    total = cx.attribution_scores(game, method="nap-ig", steps=60).values.sum()
    assert total == pytest.approx(run.values[0] - run.values[1], rel=0.02)


def test_learned_masks_are_the_slopes_at_the_masks_that_they_choose(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("gpt2")
    game = cx.ComponentGame(model, tiny.task(model), "heads+mlps")
    n = game.n_players
    rng = np.random.default_rng(7)
    sizes = sorted({size for size in sizes_of(n) if 0 < size < n})
    total, mask = np.zeros(n), np.ones((1, n), dtype=bool)
    for _ in range(4):
        total += game.evaluate(mask, gradients=True, progress=False).gradients[0]
        size = sizes[rng.integers(len(sizes))]
        mask = np.zeros((1, n), dtype=bool)
        mask[0, sorted(range(n), key=lambda i: -total[i])[:size]] = True
    found = cx.attribution_scores(game, method="topk-masks", steps=4, seed=7, progress=False)
    np.testing.assert_allclose(found.values, total / 4, atol=1e-9)
    assert found.passes == 4
    once = cx.attribution_scores(game, method="topk-masks", steps=1, progress=False)
    np.testing.assert_allclose(once.values, nap(game, progress=False))


def test_it_takes_a_model_or_a_game_and_says_names(tiny: SimpleNamespace) -> None:
    model = tiny.bridge("llama")
    task = tiny.task(model)
    found = cx.attribution_scores(model, task, "heads", method="nap")
    game = cx.ComponentGame(model, task, "heads", "resample")
    assert found.names == game.names
    assert found["L1H2"] == found.values[found.names.index("L1H2")]
    assert found.ranked()[0] == int(np.argmax(found.values))
    assert found.ranked(absolute=True)[0] == int(np.argmax(np.abs(found.values)))
    assert found.about["task"]["name"] == task.name
    assert "nap of 12 components, 1 passes" in str(found)
    for bad, words in (
        ({"method": "acdc"}, "allowed: nap"),
        ({"method": "eap-ig-inputs"}, "scores edges; for components there are: nap, nap-ig, nap-ig-inputs, relp"),
        ({"steps": 0}, "steps must be"),
        ({"method": "nap", "task": task}, "its own task"),
    ):
        with pytest.raises(UserError, match=words):
            cx.attribution_scores(game, **bad)
    with pytest.raises(UserError, match="a model and a task"):
        cx.attribution_scores(model)
    with pytest.raises(UserError, match="not among the 12"):
        found["L9H9"]
    mean = cx.ComponentGame(model, task, "heads", "mean")
    with pytest.raises(UserError, match="baseline 'resample', not 'mean'"):
        cx.attribution_scores(mean, method="nap-ig-inputs")
    assert cx.attribution_scores(mean, method="relp").passes == 1


def test_a_game_of_something_else_has_gates_alone() -> None:
    game = cx.FunctionGame(lambda masks: masks.sum(1) * 1.0, n_players=4)
    with pytest.raises(UserError, match="of components or edges of a model"):
        cx.attribution_scores(game, method="relp")
