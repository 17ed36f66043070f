"""A model is left as it was found, whatever happens in between."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex.games import ComponentGame


def explode(logits: torch.Tensor) -> torch.Tensor:
    raise ArithmeticError("boom")


def state(model: Any) -> tuple[Any, ...]:
    return (
        model.training,
        torch.is_grad_enabled(),
        tuple(parameter.requires_grad for parameter in model.parameters()),
        tuple("forward" in block.__dict__ for block in model.blocks),
    )


@pytest.mark.some(8)
@pytest.mark.parametrize("executor", ["auto", "batched", "hooks"])
@pytest.mark.parametrize("gradients", [False, True])
def test_nothing_is_left_after_a_run_and_after_an_exception(tiny, family, model, executor, gradients, hooks_left):
    before, with_nothing = state(model), model(tiny.task(model).tokens)
    assert hooks_left(model) == {}
    for metric in ("logit_diff", explode):
        game = ComponentGame(model, tiny.task(model, metric=metric), "layers[1:].heads+L2M", executor=executor)
        masks = np.random.default_rng(0).random((3, game.n_players)) < 0.5
        with pytest.raises(ArithmeticError, match="boom") if metric is explode else contextlib.nullcontext():
            game.evaluate(masks, gradients=gradients)
        assert hooks_left(model) == {}
        assert state(model) == before
    torch.testing.assert_close(model(tiny.task(model).tokens), with_nothing, atol=0, rtol=0)


def test_an_exception_in_the_model_itself_leaves_nothing(tiny, family, model, hooks_left):
    """A block that fails while the ones before it are passed over."""
    game = ComponentGame(model, tiny.task(model), "L2.heads", executor="batched")

    def fail(*args: Any) -> None:
        raise ArithmeticError("boom")

    handle = model.blocks[2].mlp.register_forward_pre_hook(fail)
    try:
        with pytest.raises(ArithmeticError, match="boom"):
            game.evaluate(np.zeros((1, game.n_players), dtype=bool))
    finally:
        handle.remove()
    assert hooks_left(model) == {}


def test_an_interrupt_leaves_nothing(tiny, hooks_left):
    model = tiny.bridge("llama")

    def interrupted(logits: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    game = ComponentGame(model, tiny.task(model, metric=interrupted), "L2.heads")
    with pytest.raises(KeyboardInterrupt):
        game.evaluate(np.zeros((1, game.n_players), dtype=bool))
    assert hooks_left(model) == {}


@pytest.mark.some(3)
@pytest.mark.parametrize("executor", ["auto", "batched", "hooks"])
@pytest.mark.parametrize("metric", ["logit_diff", explode])
def test_a_hook_of_the_users_own_stays(tiny, executor, metric, hooks_left):
    model = tiny.fresh_bridge("gpt2")
    calls = []
    model.hook_dict["blocks.2.attn.hook_z"].add_hook(lambda z, hook: calls.append(1))
    handle = model.blocks[0].register_forward_hook(lambda *args: None)
    before = hooks_left(model)
    assert before
    game = ComponentGame(model, tiny.task(model, metric=metric), "layers[1:].heads", executor=executor)
    with contextlib.suppress(ArithmeticError):
        game.evaluate(np.zeros((2, game.n_players), dtype=bool))
    assert hooks_left(model) == before
    calls.clear()
    model(torch.tensor([[3, 4]]))
    assert calls == [1]
    handle.remove()


@pytest.mark.parametrize("metric", ["logit_diff", explode])
def test_parameters_want_gradients_as_before(tiny, metric):
    model = tiny.fresh_bridge("gpt2")
    for i, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(i % 2 == 0)
    before = state(model)
    game = ComponentGame(model, tiny.task(model, metric=metric), "heads")
    assert state(model) == before
    for gradients in (False, True):
        with contextlib.suppress(ArithmeticError):
            game.evaluate(np.zeros((1, game.n_players), dtype=bool), gradients=gradients)
        assert state(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())
