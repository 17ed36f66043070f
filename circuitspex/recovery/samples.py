"""What a decoder is given, checked and brought into a standard form; what it gives back; and fits without each fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from circuitspex.checks import check_finite, check_masks
from circuitspex.errors import UserError
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.masks.sample import check_keep
from circuitspex.recovery.bases.polynomial import Polynomial, signs
from circuitspex.typing import FloatArray, IntArray, Term, Values

T = TypeVar("T")

N_FOLDS = 5
# With more than so many masks times components, fewer folds are enough, and save time.
_LARGE = 500_000
_FEWER_FOLDS = 3


@dataclass(frozen=True)
class Samples:
    """Finished ablations, ready to be decoded.

    ``x`` ``(K, n)`` are signs (+1 = kept); ``values`` ``(K,)``; ``slopes`` ``(K, n)`` are df/dx, half of d value / d
    gate since a gate runs over a length of 1 and x over 2; ``fold`` ``(K,)`` assigns each *distinct* mask to a fold, so
    that a repeated mask is never predicted from its own copy; ``keep`` is the share of kept components. With more than
    2,500 components ``x`` and ``slopes`` are in single precision.
    """

    x: FloatArray
    values: Values
    slopes: FloatArray | None
    fold: IntArray
    keep: float
    seed: int

    @classmethod
    def check(cls, masks: Any, values: Any, gradients: Any, seed: int, *, keep: float | None = None) -> Samples:
        """From a caller's arrays.

        Raises:
            UserError: wrong shapes, NaN or infinities, fewer than two distinct masks, or ``keep`` out of range.
        """
        # One memory layout, since sums are rounded in its order and the answer must not depend on it.
        masks = np.ascontiguousarray(check_masks(masks))
        n_masks, n = masks.shape
        if n < 1:
            raise UserError("masks have no columns: there are no components to explain")
        values = np.ascontiguousarray(check_finite(values, (n_masks,), "values"))
        slopes = None
        if gradients is not None:
            slopes = _half_of(gradients, (n_masks, n))
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
        return cls(np.asarray(x), values, slopes, folds[rank[group]], share, seed)

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
        slopes = None if self.slopes is None else self.slopes[left]
        return Samples(self.x[left], self.values[left], slopes, self.fold[left], self.keep, self.seed)

    def rows(self, rows: IntArray, values: Values | None = None) -> Samples:
        """Some of the masks, or some several times over, with folds of their own; ``values`` ``(K,)`` replace these."""
        values = self.values if values is None else values
        gradients = None if self.slopes is None else 2 * self.slopes[rows]
        return Samples.check(self.x[rows] > 0, values[rows], gradients, self.seed)


def _half_of(gradients: Any, shape: tuple[int, int]) -> FloatArray:
    """Half of the gradients; in single precision where there are many components."""
    if isinstance(gradients, HalfMatrix) and gradients.shape == shape:
        slopes: Any = np.asarray(gradients)  # finite, and in single precision, as it was made
        slopes *= np.float32(0.5)
        return np.asarray(slopes if shape[1] > HALF_FROM else slopes.astype(np.float64))
    slopes = np.ascontiguousarray(check_finite(np.asarray(gradients), shape, "gradients")) / 2
    return np.asarray(slopes if shape[1] <= HALF_FROM else slopes.astype(np.float32))


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


@dataclass(frozen=True)
class Standard:
    """``samples`` in a standard form; their columns ``order`` of the caller's, the mean and the spread taken out.

    Values of mean 0 and variance 1: no threshold depends on units, and trees, which keep values in single precision,
    lose none of a small variation around a large mean. Components in the order of how strongly they correlate with the
    values: where two splits of a tree are equally good the first is taken, and which it is must not depend on the
    caller's order.
    """

    samples: Samples
    order: IntArray
    mean: float
    spread: float

    @classmethod
    def of(cls, samples: Samples, *, reorder: bool = True) -> Standard:
        """The values must vary; with ``reorder`` False, and with very many components, they stay where they are."""
        reorder = reorder and samples.n_players <= HALF_FROM  # the screen reorders those that it picks
        mean, spread = float(samples.values.mean()), float(samples.values.std())
        values = (samples.values - mean) / spread
        order = np.argsort(-np.abs(values @ samples.x), kind="stable") if reorder else np.arange(samples.n_players)
        x, slopes = samples.x, samples.slopes
        if reorder:
            x = np.ascontiguousarray(x[:, order])
            slopes = None if slopes is None else np.ascontiguousarray(slopes[:, order])
        slopes = None if slopes is None else slopes / slopes.dtype.type(spread)
        return cls(replace(samples, x=x, values=values, slopes=slopes), order, mean, spread)

    def restored(self, fitted: Fitted) -> Fitted:
        """A fit to these samples as one to the caller's."""
        functions = tuple(map(self._restored, fitted.without_fold))
        return Fitted(self._restored(fitted.function), functions, fitted.out_of_fold * self.spread + self.mean)

    def _restored(self, function: Polynomial) -> Polynomial:
        names = self.order.tolist()
        table: dict[Term, float] = {(): self.mean}
        for term, value in zip(function.terms, function.coefficients.tolist(), strict=True):
            members = tuple(sorted(names[i] for i in term))
            table[members] = table.get(members, 0.0) + self.spread * value
        return Polynomial.of(table)


def cross_fit(samples: Samples, fit: Callable[[Samples, int | None], T]) -> tuple[T, list[T]]:
    """``fit(samples, None)``, and ``fit(samples without fold, fold)`` for each fold.

    One after the other: training LightGBM in two threads at once was seen to crash the interpreter.
    """
    return fit(samples, None), [fit(samples.without(fold), fold) for fold in samples.folds]
