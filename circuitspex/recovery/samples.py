"""What a decoder is given, checked, and what it gives back; with folds, and fits without each of them.

Two derivatives. A caller's *gradients* are d value / d gate: a gate runs from 0 (ablated) to 1 (kept). Decoders work
with signs x from -1 to +1, which is twice as far, and so with *sign gradients*, ``df/dx``: half the gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from circuitspex.checks import check_finite, check_masks
from circuitspex.errors import UserError
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.masks.sample import check_keep
from circuitspex.recovery.bases.polynomial import Polynomial, signs
from circuitspex.typing import FloatArray, IntArray, Values

T = TypeVar("T")

N_FOLDS = 5
_STEEP = 1e15
# With more than so many masks times components, fewer folds are enough, and save time.
_LARGE = 500_000
_FEWER_FOLDS = 3


@dataclass(frozen=True)
class Samples:
    """Finished ablations, ready to be decoded.

    ``x`` ``(K, n)`` are signs (+1 = kept); ``values`` ``(K,)``; ``sign_gradients`` ``(K, n)`` are df/dx, half of
    d value / d gate, where there are gradients; ``fold`` ``(K,)`` assigns each *distinct* mask to a fold, so that a
    repeated mask is never predicted from its own copy; ``keep`` is the share of kept components. With more than 2,500
    components ``x`` and ``sign_gradients`` are in single precision.
    """

    x: FloatArray
    values: Values
    sign_gradients: FloatArray | None
    fold: IntArray
    keep: float
    seed: int

    @classmethod
    def check(
        cls, masks: Any, values: Any, gradients: Any, seed: int, *, keep: float | None = None, unit: float = 1.0
    ) -> Samples:
        """From a caller's arrays; values and gradients are divided by ``unit``.

        Raises:
            UserError: wrong shapes, NaN or infinities, fewer than two distinct masks, or ``keep`` out of range.
        """
        # One memory layout: sums are rounded in its order, and the answer must not depend on that.
        masks = np.ascontiguousarray(check_masks(masks))
        n_masks, n = masks.shape
        if n < 1:
            raise UserError("masks have no columns: there are no components to explain")
        values = np.ascontiguousarray(check_finite(values, (n_masks,), "values")) / unit
        sign_gradients = None if gradients is None else _sign_gradients(gradients, (n_masks, n), unit)
        _, group = np.unique(np.packbits(masks, axis=1), axis=0, return_inverse=True)
        group = group.reshape(-1)
        n_groups = int(group.max()) + 1 if n_masks else 0
        if n_groups < 2:
            raise UserError(f"decoding needs at least 2 distinct masks, not {n_groups}")
        # Numbered in the order of first appearance, so that folds don't depend on how columns are ordered.
        _, first = np.unique(group, return_index=True)
        rank = np.empty(n_groups, dtype=np.int64)
        rank[np.argsort(first)] = np.arange(n_groups)
        folds = np.random.default_rng(seed).permutation(n_groups) % min(
            _FEWER_FOLDS if masks.size > _LARGE else N_FOLDS, n_groups
        )
        share = float(masks.mean()) if keep is None else _one_share(keep)
        x = signs(masks) if n <= HALF_FROM else np.where(masks, np.float32(1), np.float32(-1))
        return cls(np.asarray(x), values, sign_gradients, folds[rank[group]], share, seed)

    @property
    def n_players(self) -> int:
        """How many components there are."""
        return int(self.x.shape[1])

    @property
    def folds(self) -> range:
        """The numbers of the folds."""
        return range(int(self.fold.max()) + 1)

    def without(self, fold: int) -> Samples:
        """All but one fold."""
        left = self.fold != fold
        gradients = None if self.sign_gradients is None else self.sign_gradients[left]
        return Samples(self.x[left], self.values[left], gradients, self.fold[left], self.keep, self.seed)

    def out_of_fold(self, predictors: Iterable[Callable[[FloatArray], Values]]) -> Values:
        """What the predictor fitted without each fold gives for the masks of that fold, ``(K,)``."""
        out = np.empty_like(self.values)
        for fold, predict in zip(self.folds, predictors, strict=True):
            out[self.fold == fold] = predict(self.x[self.fold == fold])
        return out

    def rows(self, rows: IntArray, values: Values | None = None) -> Samples:
        """Some of the masks, or some several times over, with folds of their own; ``values`` ``(K,)`` replace these."""
        values = self.values if values is None else values
        gradients = None if self.sign_gradients is None else 2 * self.sign_gradients[rows]
        return Samples.check(self.x[rows] > 0, values[rows], gradients, self.seed)


def _sign_gradients(gradients: Any, shape: tuple[int, int], unit: float) -> FloatArray:
    """df/dx in that unit from d value / d gate, half of it; in single precision where there are many components."""
    kind: Any = np.float32 if shape[1] > HALF_FROM else np.float64
    if isinstance(gradients, HalfMatrix) and gradients.shape == shape:
        single: Any = np.asarray(gradients)  # finite, and in single precision, as it was made
        if not 1e-30 < unit < 1e30:
            return np.asarray(np.clip(single.astype(np.float64) / 2 / unit, -_STEEP, _STEEP).astype(kind))
        single *= np.float32(0.5 / unit)
        return np.asarray(single.astype(kind, copy=False))
    double = np.ascontiguousarray(check_finite(gradients, shape, "gradients")) / 2
    # Slopes so much steeper than the values vary are rounding or failure; their squares must stay finite.
    most = _STEEP if kind is np.float32 else _STEEP**5
    with np.errstate(over="ignore"):
        double = np.clip(double / unit, -most, most)
    return np.asarray(double.astype(kind, copy=False))


def _one_share(keep: Any) -> float:
    if isinstance(keep, bool) or not isinstance(keep, int | float | np.floating):
        raise UserError(f"keep must be one number between 0 and 1, not {keep!r}")
    return check_keep(float(keep))


@dataclass(frozen=True)
class Fitted:
    """A decoder's function, the functions fitted without each fold, and what those predict for their own fold."""

    function: Polynomial
    without_fold: tuple[Polynomial, ...]
    out_of_fold: Values


def cross_fit(samples: Samples, fit: Callable[[Samples, int | None], T]) -> tuple[T, list[T]]:
    """``fit(samples, None)``, and ``fit(samples without fold, fold)`` for each fold.

    One after the other: training LightGBM in two threads at once was seen to crash the interpreter.
    """
    return fit(samples, None), [fit(samples.without(fold), fold) for fold in samples.folds]
