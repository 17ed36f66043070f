"""Optimizers written as functions, so that many trainings step at once and are the same as ``torch.optim`` one by one.

Parameters are stacked: each tensor has a first axis of ``K`` trainings. A training whose batch is empty does not step:
its parameters, momenta and step count stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from circuitspex.errors import UserError
from circuitspex.scale import number

Params = dict[str, Tensor]


@dataclass(frozen=True)
class State:
    """What an optimizer remembers: steps taken ``(K,)``, and one or two moments of the shape of each parameter."""

    count: Tensor
    first: Params = field(default_factory=dict)
    second: Params = field(default_factory=dict)


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, as ``torch.optim.SGD``.

    Raises:
        UserError: a learning rate, momentum or weight decay that is negative or not finite.
    """

    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check(lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)

    @property
    def n_moments(self) -> int:
        """How many tensors as large as the parameters are remembered."""
        return int(self.momentum > 0)

    def start(self, params: Params) -> State:
        """The state before the first step."""
        return State(_no_steps(params), _zeros(params) if self.momentum else {})

    def step(self, params: Params, grads: Params, state: State) -> tuple[Params, State]:
        """The parameters and the state after one step; nothing is changed in place."""
        first: Params = {}
        after: Params = {}
        for name, value in params.items():
            grad = grads[name]
            if self.weight_decay:
                grad = grad.add(value, alpha=self.weight_decay)
            if self.momentum:
                grad = first[name] = grad.add(state.first[name], alpha=self.momentum)
            after[name] = value.sub(grad, alpha=self.lr)
        return after, State(state.count + 1, first)

    def ordinary(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The same optimizer from ``torch.optim``."""
        return torch.optim.SGD(list(parameters), lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Adam:
    """Adam with decoupled weight decay, as ``torch.optim.AdamW``; without weight decay it is ``torch.optim.Adam``.

    Raises:
        UserError: a learning rate, epsilon or weight decay that is negative or not finite, or betas outside [0, 1).
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check(lr=self.lr, eps=self.eps, weight_decay=self.weight_decay)
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"betas must be two numbers from 0 to below 1, not {self.betas}")

    @property
    def n_moments(self) -> int:
        """How many tensors as large as the parameters are remembered."""
        return 2

    def start(self, params: Params) -> State:
        """The state before the first step."""
        return State(_no_steps(params), _zeros(params), _zeros(params))

    def step(self, params: Params, grads: Params, state: State) -> tuple[Params, State]:
        """The parameters and the state after one step; nothing is changed in place."""
        count = state.count + 1
        rate = self.lr / (1 - self.betas[0] ** count)
        root = (1 - self.betas[1] ** count).sqrt()
        first: Params = {}
        second: Params = {}
        after: Params = {}
        for name, value in params.items():
            grad = grads[name]
            first[name] = state.first[name].lerp(grad, 1 - self.betas[0])
            second[name] = (state.second[name] * self.betas[1]).addcmul(grad, grad, value=1 - self.betas[1])
            bottom = _root(second[name]) / _beside(root, value) + self.eps
            before = value * (1 - self.lr * self.weight_decay) if self.weight_decay else value
            after[name] = before.addcdiv(first[name] * _beside(rate, value), bottom, value=-1)
        return after, State(count, first, second)

    def ordinary(self, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The same optimizer from ``torch.optim``."""
        return torch.optim.AdamW(
            list(parameters), lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay
        )


Optimizer = SGD | Adam


def where_active(active: Tensor, after: tuple[Params, State], before: tuple[Params, State]) -> tuple[Params, State]:
    """A step that only the trainings with ``active`` ``(K,)`` take; the others stay what they were to the last bit."""

    def pick(new: Params, old: Params) -> Params:
        return {name: torch.where(_beside(active, value), value, old[name]) for name, value in new.items()}

    (params, state), (old, last) = after, before
    count = torch.where(active, state.count, last.count)
    return pick(params, old), State(count, pick(state.first, last.first), pick(state.second, last.second))


def _beside(row: Tensor, value: Tensor) -> Tensor:
    """One number a training ``(K,)`` in a shape that multiplies a stacked parameter."""
    return row.reshape(-1, *(1,) * (value.ndim - 1))


def _root(value: Tensor) -> Tensor:
    """The square root; where a graph is kept, with a slope of 0 at 0, where a dead unit's second moment stays."""
    if not value.requires_grad:
        return value.sqrt()
    above = value > 0
    return torch.where(above, torch.where(above, value, 1.0).sqrt(), 0.0)


def _no_steps(params: Mapping[str, Tensor]) -> Tensor:
    some = next(iter(params.values()))
    return torch.zeros(len(some), dtype=some.dtype, device=some.device)


def _zeros(params: Mapping[str, Tensor]) -> Params:
    return {name: torch.zeros_like(value) for name, value in params.items()}


def _check(**numbers: float) -> None:
    for name, value in numbers.items():
        number(value, name, 0)
