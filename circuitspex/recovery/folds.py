"""The same fit to all samples and without each fold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from circuitspex.recovery.data import Samples

T = TypeVar("T")


def cross_fit(samples: Samples, fit: Callable[[Samples, int | None], T]) -> tuple[T, list[T]]:
    """``fit(samples, None)``, and ``fit(samples without fold, fold)`` for each fold.

    One after the other: training LightGBM in two threads at once was seen to crash the interpreter.
    """
    return fit(samples, None), [fit(samples.without(fold), fold) for fold in samples.folds]
