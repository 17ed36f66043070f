"""The slopes are those of the values, in double precision, everywhere between ablated and kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from circuitspex.components import model_structure, select
from circuitspex.errors import UserError
from circuitspex.games import ComponentGame

STEP = 1e-4
TOLERANCE = {"atol": 1e-6, "rtol": 1e-5}


def finite_differences(reference, model, task, components, baseline, gates) -> np.ndarray:
    """d mean logit_diff / d gate by central differences of the plain loop, which takes gates outside [0, 1] too."""
    steps = STEP * np.eye(gates.shape[1])
    rows = range(task.n_prompts)

    def value(some: np.ndarray) -> np.ndarray:
        logits = reference(model, task, components, baseline, some)
        return (logits[:, rows, task.answers] - logits[:, rows, task.wrong_answers]).mean(1).numpy()

    return np.array([(value(row + steps) - value(row - steps)) / (2 * STEP) for row in gates])


def gates_for(n: int) -> np.ndarray:
    """A random mask and interior gates."""
    rng = np.random.default_rng(5)
    return np.stack([(rng.random(n) < 0.5).astype(float), rng.random(n)])


@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
@pytest.mark.some(9)
def test_gradients_are_central_differences(tiny, reference, family, baseline, request):
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")  # after the model has been made
    selector = "heads+mlps" if family == "mixtral" else "layers[1:].heads+mlps@-1+L1.neurons:24@2"
    task = tiny.task(model, lengths=(5, 5))
    components = select(model_structure(model), selector)
    gates = gates_for(len(components))
    expected = finite_differences(reference, model, task, components, baseline, gates)
    assert np.abs(expected).max() > 1e-2
    for executor in ("auto", "batched", "hooks"):
        run = ComponentGame(model, task, selector, baseline, executor=executor).evaluate(gates, gradients=True)
        np.testing.assert_allclose(run.gradients, expected, **TOLERANCE)


@pytest.mark.some(4)
@pytest.mark.parametrize("batch_rows", [None, 1, 2])
@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral"])
def test_gradients_of_prompts_of_two_lengths(tiny, reference, family, batch_rows, request):
    """The value is the mean over all prompts, so each group counts by its size."""
    model = tiny.bridge(family, torch.float64)
    request.getfixturevalue("exact")
    task = tiny.task(model, lengths=(6, 4, 6, 6))
    components = select(model_structure(model), "L1.heads@-1+mlps")
    gates = gates_for(len(components))
    expected = finite_differences(reference, model, task, components, "mean", gates)
    game = ComponentGame(model, task, "L1.heads@-1+mlps", "mean", batch_rows=batch_rows)
    run = game.evaluate(gates, gradients=True)
    np.testing.assert_allclose(run.gradients, expected, **TOLERANCE)
    plain = game.evaluate(gates)
    np.testing.assert_allclose(run.per_prompt, plain.per_prompt, atol=1e-10)
    assert plain.gradients is None


def test_values_with_gradients_are_the_values(tiny, model):
    task = tiny.task(model)
    game = ComponentGame(model, task, "layers[1:].heads", "resample")
    masks = np.random.default_rng(0).random((6, game.n_players)) < 0.5
    with_slopes = game.evaluate(masks, gradients=True)
    np.testing.assert_allclose(with_slopes.per_prompt, game.evaluate(masks).per_prompt, atol=1e-4)
    assert with_slopes.gradients.shape == masks.shape


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_switched_off_autograd(tiny, mode):
    """Values come out the same inside and outside; gradients are refused with one line."""
    model = tiny.bridge("llama")
    task = tiny.task(model)
    masks = np.random.default_rng(0).random((4, 4)) < 0.5
    outside = ComponentGame(model, task, "L2.heads", "mean")
    expected = outside.evaluate(masks, gradients=True)
    with mode():
        inside = ComponentGame(model, task, "L2.heads", "mean")
        for game in (inside, outside):
            np.testing.assert_allclose(game.evaluate(masks).per_prompt, expected.per_prompt, atol=1e-5)
            with pytest.raises(UserError, match="gradients=True needs autograd") as caught:
                game.evaluate(masks, gradients=True)
            assert "\n" not in str(caught.value)
        assert not torch.is_grad_enabled()
    # What was prepared while autograd was off serves gradients afterwards.
    np.testing.assert_allclose(inside.evaluate(masks, gradients=True).gradients, expected.gradients, atol=1e-5)


def test_a_metric_without_gradient_is_refused(tiny):
    model = tiny.bridge("gpt2")

    def rank(logits: torch.Tensor) -> torch.Tensor:
        return logits.argsort(-1)[:, 0].float()

    game = ComponentGame(model, tiny.task(model, metric=rank), "heads")
    masks = np.ones((1, game.n_players), dtype=bool)
    game.evaluate(masks)
    with pytest.raises(UserError, match="metric 'rank' has no gradient; use gradients=False"):
        game.evaluate(masks, gradients=True)
