"""Losses on training examples and scores on test examples, each one number an example.

Outputs are ``(B, C)`` logits with targets ``(B,)``, or ``(B, ..., C)`` with targets ``(B, ...)``, which are averaged
over; a target of -100 does not count. ``mse`` and ``negative_mse`` compare outputs and targets of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from circuitspex.errors import UserError

PerExample = Callable[[Tensor, Tensor], Tensor]
IGNORED = -100


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The cross-entropy of each example, ``(B,)``."""
    logits = outputs.reshape(-1, outputs.shape[-1])
    each = F.cross_entropy(logits, targets.reshape(-1), reduction="none", ignore_index=IGNORED)
    return _mean_of_counted(each.reshape(targets.shape), targets)


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error of each example, ``(B,)``."""
    return (outputs - targets).square().flatten(1).mean(1) if targets.ndim > 1 else (outputs - targets).square()


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of an example's targets that the largest logit names, ``(B,)``."""
    return _mean_of_counted((outputs.argmax(-1) == targets).to(outputs.dtype), targets)


def exact_match(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 for an example whose targets are all named by the largest logit, else 0, ``(B,)``."""
    right = (outputs.argmax(-1) == targets) | (targets == IGNORED)
    return right.reshape(len(targets), -1).all(1).to(outputs.dtype)


LOSSES: dict[str, PerExample] = {"cross_entropy": cross_entropy, "mse": mse}
METRICS: dict[str, PerExample] = {
    "log_likelihood": lambda outputs, targets: -cross_entropy(outputs, targets),
    "accuracy": accuracy,
    "exact_match": exact_match,
    "negative_mse": lambda outputs, targets: -mse(outputs, targets),
}


def named(what: str, known: dict[str, PerExample], chosen: str | PerExample) -> PerExample:
    """A function by its name, or the caller's own.

    Raises:
        UserError: an unknown name.
    """
    if not isinstance(chosen, str):
        return chosen
    if chosen not in known:
        raise UserError(f"unknown {what} '{chosen}'; known: {', '.join(known)}, or a function of outputs and targets")
    return known[chosen]


def _mean_of_counted(each: Tensor, targets: Tensor) -> Tensor:
    if targets.ndim == 1:
        return each
    counted = (targets != IGNORED).to(each.dtype).flatten(1)
    return (each.flatten(1) * counted).sum(1) / counted.sum(1).clamp(min=1)
