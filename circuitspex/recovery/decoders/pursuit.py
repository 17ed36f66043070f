"""Pursuit: conjunctions and parities of components, found one after another in what is left unexplained.

Orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993) over every conjunction of literals ('i kept and j
ablated') and every parity, of one component and of two; larger ones are grown from the best of these by a beam search,
and parities of three and four are all tried where there are few enough. A feature enters only if its correlation with
the residual is beyond what the best of so many candidates reaches by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from circuitspex.recovery.bases.polynomial import Polynomial, combine
from circuitspex.recovery.decoders.linear import fit_linear
from circuitspex.recovery.decoders.ridge import fit_ridge
from circuitspex.recovery.samples import Fitted, Samples, cross_fit
from circuitspex.typing import FloatArray, Term, Values

Floats32 = NDArray[np.float32]

# The best of N candidates without any signal reaches about sqrt(2 log N) standard deviations (the universal threshold,
# Donoho and Johnstone 1994); so much more is asked for.
_MARGIN = 0.7
_BEAM = 40
_POOL = 150
_SCANS = 10
_MOST_ORDER = 5
# At most one feature for every so many masks.
_MASKS_PER_FEATURE = 5
# Parities of three and of four are all tried where that takes at most so many multiplications.
_EXHAUSTIVE = 1.5e9
# So many columns, and numbers, are worked on at a time.
_BLOCK = 256


@dataclass(frozen=True)
class Feature:
    """A parity (``signs`` None), or a conjunction: member i must have sign ``signs[i]`` (+1 kept, -1 ablated)."""

    members: Term
    signs: tuple[int, ...] | None

    def column(self, x: Floats32) -> Floats32:
        """Its value at rows of signs: ±1 for a parity, 0 or 1 for a conjunction."""
        chosen = x[:, list(self.members)]
        if self.signs is None:
            return np.asarray(chosen.prod(1))
        return np.asarray((chosen == np.array(self.signs, dtype=np.float32)).all(1), dtype=np.float32)

    def polynomial(self) -> Polynomial:
        """As a sum of parities."""
        if self.signs is None:
            return Polynomial.of({self.members: 1.0})
        table: dict[Term, float] = {}
        size = len(self.members)
        for count in range(size + 1):
            for places in combinations(range(size), count):
                sign = float(np.prod([self.signs[place] for place in places]))
                table[tuple(self.members[place] for place in places)] = sign * 0.5**size
        return Polynomial.of(table)


def fit_pursuit(samples: Samples, *, max_order: int | None = None, features: Sequence[Feature] | None = None) -> Fitted:
    """Orthogonal matching pursuit of features, and ridge regression on those that were chosen.

    ``features``: those that `pursued` chose from all masks, where that is known already.
    """
    if max_order == 1:
        return fit_linear(samples)

    def fit(part: Samples, fold: int | None) -> Polynomial:
        chosen = features if fold is None and features is not None else pursued(part, max_order)
        return regressed(chosen, part)

    function, functions = cross_fit(samples, fit)
    return Fitted(function, tuple(functions), samples.out_of_fold(each.predict for each in functions))


def pursued(samples: Samples, max_order: int | None = None) -> list[Feature]:
    """The features that are chosen, the first one first; at most one for every five masks."""
    max_order, values, keep = min(max_order or _MOST_ORDER, _MOST_ORDER), samples.values, samples.keep
    light = np.asfortranarray(samples.x, dtype=np.float32)  # column after column, which is how features are picked
    n_masks = len(values)
    most = max(1, n_masks // _MASKS_PER_FEATURE)
    chosen: dict[Feature, None] = {}
    basis = np.full((n_masks, 1), n_masks**-0.5)  # orthonormal columns of what is explained, the constant first
    residual = values - values.mean()
    for _ in range(_SCANS):
        pool = _scan(light, residual, keep, max_order)
        columns = np.stack([feature.column(light) for feature, _ in pool], axis=1).astype(np.float64)
        columns -= basis @ (basis.T @ columns)
        limits = np.array([limit for _, limit in pool])
        before = len(chosen)
        while len(chosen) < most:
            norms = np.sqrt((columns**2).sum(0))
            usable = norms > 1e-3 * np.sqrt(n_masks)
            spread = np.sqrt((residual**2).sum() / max(1, n_masks - basis.shape[1]))
            if spread <= 1e-9 * max(1e-300, float(np.abs(values).max())):
                break
            strength = np.abs(residual @ columns) / np.where(usable, norms, 1.0) / spread
            gain = np.where(usable, strength - limits, -np.inf)
            best = int(np.argmax(gain))
            if gain[best] <= 0:
                break
            direction = columns[:, best] / norms[best]
            chosen[pool[best][0]] = None
            residual = residual - direction * (direction @ residual)
            columns = columns - np.outer(direction, direction @ columns)
            basis = np.concatenate([basis, direction[:, None]], axis=1)
        if len(chosen) == before:
            break
    return list(chosen)


def regressed(features: Sequence[Feature], samples: Samples) -> Polynomial:
    """Ridge regression on the features."""
    if not features:
        return Polynomial.of({(): float(samples.values.mean())})
    model = fit_ridge(columns_of(features, samples.x), samples.values)
    return weighted(features, model.weights, model.constant)


def columns_of(features: Sequence[Feature], x: FloatArray) -> FloatArray:
    """What the features are at rows of signs, ``(K, features)``."""
    light = np.asfortranarray(x, dtype=np.float32)
    return np.stack([feature.column(light) for feature in features], axis=1).astype(np.float64)


def weighted(features: Sequence[Feature], weights: FloatArray, constant: float) -> Polynomial:
    """A weighted sum of features, and a constant, as parities."""
    parts = zip(weights.tolist(), (feature.polynomial() for feature in features), strict=True)
    return combine([(1.0, Polynomial.of({(): constant})), *parts])


def _scan(x: Floats32, residual: Values, keep: float, max_order: int) -> list[tuple[Feature, float]]:
    """The features that correlate best with the residual, each with the strength that chance alone would reach."""
    n_masks, n = x.shape
    # A residual of rounding alone may not vary at all; by a part of its size it stays within single precision.
    r = (residual / max(float(residual.std()), 1e-6 * float(np.abs(residual).max()), 1e-300)).astype(np.float32)
    found: dict[Feature, tuple[float, float]] = {}

    def offer(features: Iterator[Feature], strengths: FloatArray, n_candidates: float) -> None:
        limit = np.sqrt(2 * np.log(max(n_candidates, 2.0))) + _MARGIN
        for feature, strength in zip(features, strengths.tolist(), strict=True):
            found[feature] = (strength - limit, limit)

    alone = r @ x
    offer((Feature((i,), None) for i in range(n)), np.abs(alone) / n_masks**0.5, n)
    if max_order >= 2 and n >= 2:
        first, second = _pairs_of(n)
        pairs, one_of, two_of = _products_of_pairs(x, r)[first, second], alone[first], alone[second]
        n_pairs = len(first)
        strength = np.abs(pairs) / np.float32(n_masks**0.5)
        best = _top(strength, _POOL)
        parities = [Feature((int(first[i]), int(second[i])), None) for i in best]
        offer(iter(parities), strength[best], n_pairs)
        beam: list[tuple[float, Feature]] = []
        for one in (1, -1):
            for two in (1, -1):
                share = _share(one, keep) * _share(two, keep)
                total = two * two_of + (one * two) * pairs
                total += one * one_of
                strength = np.abs(total, out=total)
                strength /= np.float32(4 * np.sqrt(n_masks * share * (1 - share)))
                best = _top(strength, _POOL)
                ands = [Feature((int(first[i]), int(second[i])), (one, two)) for i in best]
                offer(iter(ands), strength[best], 4 * n_pairs)
                beam += zip(strength[best].tolist(), ands, strict=True)
        beam.sort(key=lambda each: -each[0])
        _grow_conjunctions(x, r, keep, [each for _, each in beam[:_BEAM]], max_order, offer)
        _grow_parities(x, r, parities[:_BEAM], max_order, offer)
        _all_parities(x, r, max_order, offer)
    ranked = sorted(found.items(), key=lambda item: -item[1][0])[:_POOL]
    return [(feature, limit) for feature, (_, limit) in ranked]


def _share(sign: int, keep: float) -> float:
    return keep if sign > 0 else 1 - keep


@lru_cache(maxsize=2)
def _pairs_of(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the second members of all pairs of n components, in increasing order."""
    first, second = np.triu_indices(n, 1)
    return first, second


def _products_of_pairs(x: Floats32, r: Floats32) -> Floats32:
    """``sum_k r_k x_ki x_kj`` where i < j; most of the rest, which is the same mirrored, is left at zero."""
    n = x.shape[1]
    out = np.zeros((n, n), dtype=np.float32)
    for start in range(0, n, _BLOCK):
        rows = slice(start, start + _BLOCK)
        out[rows, start:] = (x[:, rows] * r[:, None]).T @ x[:, start:]
    return out


def _top(strength: FloatArray | Floats32, count: int) -> NDArray[np.int64]:
    """The places of the largest, the largest first."""
    count = min(count, len(strength))
    n_blocks = len(strength) // _BLOCK
    if n_blocks > count:
        # As many blocks have a maximum of at least ``least``, so that none of the largest is below it.
        peaks = strength[: n_blocks * _BLOCK].reshape(n_blocks, _BLOCK).max(1)
        least = np.partition(peaks, n_blocks - count)[n_blocks - count]
        places = np.flatnonzero(strength >= least)
        return np.asarray(places[np.argsort(-strength[places], kind="stable")[:count]])
    best = np.argpartition(-strength, count - 1)[:count]
    return np.asarray(best[np.argsort(-strength[best], kind="stable")])


def _grow_conjunctions(  # type: ignore[no-untyped-def]
    x: Floats32, r: Floats32, keep: float, beam: list[Feature], max_order: int, offer
) -> None:
    """One literal more at a time, from the best so far."""
    n_masks, n = x.shape
    for order in range(3, max_order + 1):
        if not beam:
            return
        weighted = np.stack([feature.column(x) for feature in beam], axis=1) * r[:, None]
        base, along = weighted.sum(0), weighted.T @ x  # (B,), (B, n)
        shares = np.array([np.prod([_share(s, keep) for s in feature.signs or ()]) for feature in beam])
        grown: dict[Feature, float] = {}
        for sign in (1, -1):
            share = shares * _share(sign, keep)
            strength = np.abs(base[:, None] + sign * along) / 2 / np.sqrt(n_masks * share * (1 - share))[:, None]
            for row, feature in enumerate(beam):
                strength[row, list(feature.members)] = 0.0
            for flat in _top(strength.ravel(), _BEAM).tolist():
                row, new = divmod(flat, n)
                parts = sorted([*zip(beam[row].members, beam[row].signs or (), strict=True), (new, sign)])
                feature = Feature(tuple(m for m, _ in parts), tuple(s for _, s in parts))
                grown[feature] = float(strength[row, new])
        best = sorted(grown.items(), key=lambda item: -item[1])[:_BEAM]
        offer(iter([f for f, _ in best]), np.array([s for _, s in best]), len(beam) * 2.0 * n * n)
        beam = [f for f, _ in best]
        if order >= n:
            return


def _grow_parities(x: Floats32, r: Floats32, beam: list[Feature], max_order: int, offer) -> None:  # type: ignore[no-untyped-def]
    n_masks, n = x.shape
    for order in range(3, min(max_order, n) + 1):
        weighted = np.stack([feature.column(x) for feature in beam], axis=1) * r[:, None]
        strength = np.abs(weighted.T @ x) / n_masks**0.5
        for row, feature in enumerate(beam):
            strength[row, list(feature.members)] = 0.0
        grown: dict[Feature, float] = {}
        for flat in _top(strength.ravel(), _BEAM).tolist():
            row, new = divmod(flat, n)
            grown[Feature(tuple(sorted((*beam[row].members, new))), None)] = float(strength[row, new])
        offer(iter(grown), np.array(list(grown.values())), len(beam) * float(n) * n)
        beam = list(grown)
        if order >= n:
            return


def _all_parities(x: Floats32, r: Floats32, max_order: int, offer) -> None:  # type: ignore[no-untyped-def]
    """Every parity of three and of four components, where that is affordable."""
    n_masks, n = x.shape
    first, second = np.triu_indices(n, 1)
    n_pairs = len(first)
    if max_order < 3 or n < 3 or n_masks * n_pairs * float(n) > _EXHAUSTIVE:
        return
    both = x[:, first] * x[:, second]
    weighted = both * r[:, None]
    triples = np.abs(weighted.T @ x) / n_masks**0.5
    triples[np.arange(n)[None, :] <= second[:, None]] = 0.0  # each set once, in increasing order
    best = _top(triples.ravel(), _POOL)
    rows, new = best // n, best % n
    sets = [
        Feature((int(first[a]), int(second[a]), int(b)), None) for a, b in zip(rows, new, strict=True) if b > second[a]
    ]
    offer(iter(sets), triples.ravel()[best][: len(sets)], n_pairs * n / 3)
    if max_order < 4 or n < 4 or n_masks * float(n_pairs) ** 2 > _EXHAUSTIVE:
        return
    fours = np.abs(weighted.T @ both) / n_masks**0.5
    fours[second[:, None] >= first[None, :]] = 0.0
    best = _top(fours.ravel(), _POOL)
    rows, others = best // n_pairs, best % n_pairs
    keepers = second[rows] < first[others]
    rows, others = rows[keepers], others[keepers]
    quads = [
        Feature((int(first[a]), int(second[a]), int(first[b]), int(second[b])), None)
        for a, b in zip(rows, others, strict=True)
    ]
    offer(iter(quads), fours.ravel()[best][keepers], n_pairs**2 / 6)
