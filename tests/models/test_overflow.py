"""Numbers too large for a dtype: the line names the dtype and the layer, wherever the model is run."""

import pytest
import torch

from circuitspex import ComponentGame, TokenGame, find_circuit
from circuitspex.circuits import nap
from circuitspex.errors import TaskError
from circuitspex.models.overflow import first_overflow, overflowed

LINE = (
    r"the MLP of layer 1 overflowed in float16, which holds numbers up to 6\.55e\+04; load the model in float32 or bfl"
)


@pytest.fixture(scope="module")
def large(tiny):
    model = tiny.fresh_bridge("llama", torch.float16)
    with torch.no_grad():
        model.original_model.model.layers[1].mlp.down_proj.weight.mul_(1e5)
    return model


@pytest.mark.parametrize(
    "run",
    [
        lambda model, task: ComponentGame(model, task, "mlps", "zero")([[True, True, True]]),
        lambda model, task: ComponentGame(model, task, "mlps", "zero", executor="hooks")([[True, True, True]]),
        lambda model, task: ComponentGame(model, task, "mlps", "zero", executor="batched")([[True, True, False]]),
        lambda model, task: ComponentGame(model, task, "heads", "zero").patched([[True] * 12], 0, 4),
        lambda model, task: nap(ComponentGame(model, task, "heads", "zero")),
        lambda model, task: task.report(model),
        lambda model, task: task.accuracy(model),
        lambda model, task: find_circuit(model, task, "heads", "zero", budget=8, progress=False),
        lambda model, task: TokenGame(model, "w1 w2 w3", " w4", " w5")([[True, True, True]]),
        lambda model, task: TokenGame(model, "w1 w2 w3", " w4", " w5", executor="hooks")([[True, True, True]]),
    ],
)
def test_the_dtype_and_the_layer_are_named_wherever_the_model_runs(run, large, tiny):
    with pytest.raises(TaskError, match=LINE) as caught:
        run(large, tiny.task(large))
    assert "\n" not in str(caught.value)


def test_in_single_precision_the_layer_is_named_without_the_advice(tiny):
    model = tiny.fresh_bridge("llama")
    with torch.no_grad():
        model.original_model.model.layers[1].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(TaskError, match=r"^the model's logits are not finite in float32, first in the MLP of layer 1$"):
        tiny.task(model).report(model)


def test_a_metric_that_goes_wrong_is_still_blamed_itself(tiny):
    model = tiny.bridge("llama", torch.bfloat16)
    task = tiny.task(model, metric=lambda logits: logits[:, 0] * float("nan"))
    for run in (lambda: ComponentGame(model, task, "mlps")([[True] * 3]), lambda: task.report(model)):
        with pytest.raises(TaskError, match="metric '<lambda>' gave nan on prompt 0"):
            run()


def test_tokens_that_a_model_rules_out_are_no_overflow(tiny):
    logits = torch.zeros(2, 1, 5)
    logits[0, 0, 3] = -float("inf")
    assert overflowed(logits).tolist() == [False, False]
    assert overflowed(logits.half()).tolist() == [True, False]


def test_no_hook_is_left(large, tiny, hooks_left):
    before = hooks_left(large)
    assert first_overflow(large, lambda: large(torch.tensor([[4, 5]]))) == "the MLP of layer 1"
    with pytest.raises(ZeroDivisionError):
        first_overflow(large, lambda: 1 / 0)
    assert hooks_left(large) == before
