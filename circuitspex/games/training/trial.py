"""A training is tried on the untrained model before anything is trained: shapes, classes, and who sees whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.func import vmap

from circuitspex.errors import UserError
from circuitspex.games.training.module import ModuleFunction
from circuitspex.games.training.optimizers import Params
from circuitspex.games.training.scores import IGNORED

_ROWS = 64


class Tried(Protocol):
    """What is tried of a training: its data, its functions and where they begin."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    loss: Callable[..., Any]
    score: Callable[..., Any]
    dtype: torch.dtype
    device: torch.device

    @property
    def n_examples(self) -> int:
        """How many training examples there are."""

    @property
    def n_tests(self) -> int:
        """How many test examples there are."""

    def start(self, seed: int) -> tuple[Params, Params]:
        """The parameters that a seed begins with, and the tensors beside them that are not trained."""


def check_classes(training: Tried, module: ModuleFunction) -> None:
    """Targets of a cross-entropy must be classes that the model has.

    Raises:
        UserError: targets of another shape than the outputs have without their last axis, or of unknown classes.
    """
    params, frozen = training.start(0)
    with torch.no_grad():
        outputs = _called("model", module, params | frozen, training.x[:2])
    y, classes = training.y, outputs.shape[-1]
    if y.is_floating_point() or outputs.shape[1:-1] != y.shape[1:]:
        wanted = ", ".join(map(str, (training.n_examples, *outputs.shape[1:-1])))
        raise UserError(
            f"training targets must be class numbers of shape ({wanted}), not "
            f"{str(y.dtype).removeprefix('torch.')} of shape {tuple(y.shape)}"
        )
    wrong = y[((y < 0) & (y != IGNORED)) | (y >= classes)]
    if len(wrong):
        raise UserError(f"training targets must be classes from 0 to {classes - 1}; there is {int(wrong[0])}")


def check_trial(training: Tried) -> None:
    """The loss and the metric give what they should, also of several runs at once; left-out examples have no part.

    Raises:
        UserError: one of them can't be computed, gives another shape, or lets left-out examples in.
    """
    params, frozen = training.start(0)
    values = params | frozen
    x, y = training.x[:_ROWS], training.y[:_ROWS]
    weights = (torch.arange(len(x), device=training.device) % 2 == 0).to(training.dtype)
    kept = weights > 0
    with torch.no_grad():
        masked = _called("loss", training.loss, values, x, y, weights)
        alone = _called("loss", training.loss, values, x[kept], y[kept], weights[kept])
        scores = _called("metric", training.score, values, training.x_test, training.y_test)
    if not isinstance(masked, Tensor) or masked.ndim:
        raise UserError(f"the loss must be one number, a tensor of shape (), not {_shape(masked)}")
    if not isinstance(scores, Tensor) or tuple(scores.shape) != (training.n_tests,):
        raise UserError(f"the metric must give {training.n_tests} numbers, one a test example; not {_shape(scores)}")
    near = 1e-2 if training.dtype in (torch.float16, torch.bfloat16) else 1e-4
    if masked.isfinite() and alone.isfinite() and not torch.allclose(masked, alone, rtol=near, atol=near):
        raise UserError(
            "the loss of kept examples changes with what is left out: examples must not see each other (no BatchNorm "
            "or Dropout in training mode), weight 0 must mean no part, and the weights must be normalised"
        )
    with torch.no_grad():
        two = {name: value.expand(2, *value.shape) for name, value in params.items()} | frozen
        in_dims = (dict.fromkeys(params, 0) | dict.fromkeys(frozen, None), None, None)
        _called("loss of several runs", vmap(training.loss, (*in_dims, 0)), two, x, y, weights.expand(2, -1))
        _called("metric of several runs", vmap(training.score, in_dims), two, training.x_test, training.y_test)


def _called(what: str, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except UserError:
        raise
    except Exception as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"the {what} can't be computed on this data: {why}") from error


def _shape(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
