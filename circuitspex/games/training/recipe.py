"""``Training``: what is trained, on what, how, and what is measured afterwards.

One training under example weights ``w`` (0 = left out, 1 = kept) is exactly this. The parameters begin at those of the
seed. In each step a batch of examples comes up, in an order that is the seed's whatever the weights are; the loss is

    L = sum over the batch of w_i l_i / sum over the batch of w_i,

normalised over the examples that are kept, and one optimizer step follows. A batch of which nothing is kept is passed
over: no step, no weight decay, no momentum. With no example kept the value is that of the untrained model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap

from circuitspex.errors import UserError
from circuitspex.games.training.module import ModuleFunction
from circuitspex.games.training.optimizers import Adam, Optimizer, Params
from circuitspex.games.training.scores import IGNORED, LOSSES, METRICS, PerExample, named
from circuitspex.scale import MOST, whole
from circuitspex.typing import IntArray

Pair = tuple[Any, Any]
Init = Callable[[int], Params]
Loss = Callable[[Params, Tensor, Tensor, Tensor], Tensor]
Score = Callable[[Params, Tensor, Tensor], Tensor]

# A training is tried on so many examples, on the untrained model, before anything is trained.
_ROWS = 64


class Training:
    """A training run as a function of which examples are kept, for ``TrainingGame``.

    Args:
        model: a function without arguments that makes the module, called once for each seed under that seed; or a
            module, whose parameters are then where every training begins (fine-tuning).
        train: inputs ``(N, ...)`` and targets ``(N, ...)``, arrays or tensors.
        test: the same for the test examples, ``(T, ...)``.
        loss: 'cross_entropy', 'mse', or a function of outputs and targets that gives one number an example, ``(B,)``.
        metric: what is measured on the test examples: 'log_likelihood', 'accuracy', 'exact_match', 'negative_mse', or
            a function of outputs and targets that gives one number a test example, ``(T,)``.
        optimizer: ``Adam`` or ``SGD`` from ``circuitspex.games``.
        steps: how many optimizer steps.
        batch_size: examples in a step, left-out ones among them; None for all of them in every step.
        name: names what can't be read from the outside (a module's own code, functions) for the store.
        device: where to train; by default where the parameters are.

    Raises:
        UserError: shapes that don't fit together, targets that are no class of the model, numbers that are not finite,
            an unknown loss or metric, or a loss of kept examples that depends on left-out ones (BatchNorm, for one).
    """

    def __init__(
        self,
        model: Callable[[], nn.Module] | nn.Module,
        train: Pair,
        test: Pair,
        *,
        loss: str | PerExample = "cross_entropy",
        metric: str | PerExample = "log_likelihood",
        optimizer: Optimizer | None = None,
        steps: int = 100,
        batch_size: int | None = None,
        name: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        module = ModuleFunction(model)
        each, score = named("loss", LOSSES, loss), named("metric", METRICS, metric)

        def weighted(params: Params, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
            losses = each(module(params, x), y)
            if losses.shape != weights.shape:
                raise UserError(f"the loss must give one number an example, not shape {tuple(losses.shape)}")
            total = weights.sum()
            return (weights * losses).sum() / torch.where(total > 0, total, 1.0)

        def scored(params: Params, x: Tensor, y: Tensor) -> Tensor:
            return score(module(params, x), y)

        self._frozen = module.frozen
        self._setup(module.init, weighted, scored, train, test, optimizer, steps, batch_size, name, device)
        self.same_start = isinstance(model, nn.Module)
        self.metric_name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        words = [word if isinstance(word, str) else "" for word in (loss, metric)]
        self._code = [repr(module.skeleton), *words] if module.is_plain and all(words) else None
        if loss == "cross_entropy":
            self._check_classes(module)
        self._check_trial()

    @classmethod
    def functional(
        cls,
        init: Init,
        loss: Loss,
        score: Score,
        train: Pair,
        test: Pair,
        *,
        optimizer: Optimizer | None = None,
        steps: int = 100,
        batch_size: int | None = None,
        name: str | None = None,
        device: str | torch.device | None = None,
    ) -> Training:
        """A training of pure functions, which ``torch.func.vmap`` must be able to map.

        Args:
            init: a seed in, a mapping from names to parameter tensors out.
            loss: ``loss(params, x, y, weights)`` gives the loss of a batch, a scalar, in which an example of weight 0
                has no part and which is normalised over the weights.
            score: ``score(params, x_test, y_test)`` gives one number a test example, ``(T,)``.
            train: as in ``Training``, and likewise the rest.

        Raises:
            UserError: as in ``Training``.
        """
        self = cls.__new__(cls)
        self._frozen = frozenset()
        self._setup(init, loss, score, train, test, optimizer, steps, batch_size, name, device)
        self.same_start = False
        self.metric_name = getattr(score, "__name__", "score")
        self._code = None
        self._check_trial()
        return self

    def _setup(
        self,
        init: Init,
        loss: Loss,
        score: Score,
        train: Pair,
        test: Pair,
        optimizer: Optimizer | None,
        steps: int,
        batch_size: int | None,
        name: str | None,
        device: str | torch.device | None,
    ) -> None:
        steps = whole(steps, "steps", 1, MOST)
        batch_size = None if batch_size is None else whole(batch_size, "batch_size", 1, MOST)
        self.optimizer: Optimizer = Adam() if optimizer is None else optimizer
        if not hasattr(self.optimizer, "ordinary"):
            raise UserError("optimizer must be Adam(...) or SGD(...) from circuitspex.games")
        self.loss, self.score, self._init, self.name = loss, score, init, name
        self.steps = steps
        first = init(0)
        if not first or not all(isinstance(value, Tensor) for value in first.values()):
            raise UserError("init must give a mapping from names to tensors, with at least one of them")
        some = next((value for name, value in first.items() if name not in self._frozen), None)
        if some is None:
            raise UserError("the model has no parameters to train")
        self.dtype, self.device = some.dtype, torch.device(device) if device is not None else some.device
        self.x, self.y = self._data(train, "training")
        self.x_test, self.y_test = self._data(test, "test")
        self.batch_size = None if batch_size is None or batch_size >= self.n_examples else batch_size

    @property
    def n_examples(self) -> int:
        """How many training examples there are, ``N``."""
        return len(self.x)

    @property
    def n_tests(self) -> int:
        """How many test examples there are, ``T``."""
        return len(self.x_test)

    def start(self, seed: int) -> tuple[Params, Params]:
        """The parameters that a seed begins with, and the tensors beside them that are not trained."""
        values = {name: value.detach().to(self.device) for name, value in self._init(seed).items()}
        frozen = {name: value for name, value in values.items() if name in self._frozen}
        return {name: value for name, value in values.items() if name not in frozen}, frozen

    def batches(self, seed: int) -> list[IntArray] | None:
        """The examples of each step, each epoch in an order of its own; None where every step has them all."""
        if self.batch_size is None:
            return None
        random = np.random.default_rng([seed, 1])
        found: list[IntArray] = []
        while len(found) < self.steps:
            order = random.permutation(self.n_examples)
            found += [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        return found[: self.steps]

    def facts(self, seeds: tuple[int, ...]) -> dict[str, Any] | None:
        """All that a value depends on; None where that can't be known and no ``name`` says it."""
        if self._code is None and self.name is None:
            return None
        starts = [self.start(seed) for seed in seeds]
        return {
            "code": [self.name, self._code],
            "data": _hash([self.x, self.y, self.x_test, self.y_test]),
            "starts": [_hash([*params.values(), *frozen.values()]) for params, frozen in starts],
            "optimizer": [type(self.optimizer).__name__, asdict(self.optimizer)],
            "steps": self.steps,
            "batch_size": self.batch_size,
            "dtype": str(self.dtype).removeprefix("torch."),
            "device": self.device.type,
        }

    def _data(self, pair: Pair, what: str) -> tuple[Tensor, Tensor]:
        try:
            x, y = (torch.as_tensor(part) for part in pair)
        except (TypeError, ValueError) as error:
            raise UserError(f"{what} data must be a pair of arrays: inputs and targets") from error
        if x.ndim == 0 or y.ndim == 0 or len(x) == 0 or len(x) != len(y):
            raise UserError(
                f"{what} inputs {tuple(x.shape)} and targets {tuple(y.shape)} must have the same first axis, not empty"
            )
        if not (x.isfinite().all() and y.isfinite().all()):
            raise UserError(f"{what} data must be finite; there are NaN or infinities in it")
        return self._placed(x), self._placed(y)

    def _placed(self, values: Tensor) -> Tensor:
        dtype = self.dtype if values.is_floating_point() else values.dtype
        return values.detach().to(self.device, torch.int64 if dtype == torch.int32 else dtype)

    def _check_classes(self, module: ModuleFunction) -> None:
        """Targets of a cross-entropy must be classes that the model has.

        Raises:
            UserError: targets of another shape than the outputs have without their last axis, or of unknown classes.
        """
        params, frozen = self.start(0)
        with torch.no_grad():
            outputs = _called("model", module, params | frozen, self.x[:2])
        y, classes = self.y, outputs.shape[-1]
        if y.is_floating_point() or outputs.shape[1:-1] != y.shape[1:]:
            wanted = ", ".join(map(str, (self.n_examples, *outputs.shape[1:-1])))
            raise UserError(
                f"training targets must be class numbers of shape ({wanted}), not "
                f"{str(y.dtype).removeprefix('torch.')} of shape {tuple(y.shape)}"
            )
        wrong = y[((y < 0) & (y != IGNORED)) | (y >= classes)]
        if len(wrong):
            raise UserError(f"training targets must be classes from 0 to {classes - 1}; there is {int(wrong[0])}")

    def _check_trial(self) -> None:
        """The loss and the metric give what they should, also of several runs at once; left-out examples have no part.

        Raises:
            UserError: one of them can't be computed, gives another shape, or lets left-out examples in.
        """
        params, frozen = self.start(0)
        values = params | frozen
        x, y = self.x[:_ROWS], self.y[:_ROWS]
        weights = (torch.arange(len(x), device=self.device) % 2 == 0).to(self.dtype)
        kept = weights > 0
        with torch.no_grad():
            masked = _called("loss", self.loss, values, x, y, weights)
            alone = _called("loss", self.loss, values, x[kept], y[kept], weights[kept])
            scores = _called("metric", self.score, values, self.x_test, self.y_test)
        if not isinstance(masked, Tensor) or masked.ndim:
            raise UserError(f"the loss must be one number, a tensor of shape (), not {_shape(masked)}")
        if not isinstance(scores, Tensor) or tuple(scores.shape) != (self.n_tests,):
            raise UserError(f"the metric must give {self.n_tests} numbers, one a test example; not {_shape(scores)}")
        near = 1e-2 if self.dtype in (torch.float16, torch.bfloat16) else 1e-4
        if masked.isfinite() and alone.isfinite() and not torch.allclose(masked, alone, rtol=near, atol=near):
            raise UserError(
                "the loss of kept examples changes with what is left out: examples must not see each other (no "
                "BatchNorm or Dropout in training mode), weight 0 must mean no part, and the weights must be normalised"
            )
        with torch.no_grad():
            two = {name: value.expand(2, *value.shape) for name, value in params.items()} | frozen
            in_dims = (dict.fromkeys(params, 0) | dict.fromkeys(frozen, None), None, None)
            _called("loss of several runs", vmap(self.loss, (*in_dims, 0)), two, x, y, weights.expand(2, -1))
            _called("metric of several runs", vmap(self.score, in_dims), two, self.x_test, self.y_test)


def _hash(tensors: list[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(json.dumps([str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _called(what: str, function: Callable[..., Any], *args: Any) -> Any:
    try:
        return function(*args)
    except UserError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
        raise UserError(f"the {what} can't be computed on this data: {why}") from error


def _shape(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
