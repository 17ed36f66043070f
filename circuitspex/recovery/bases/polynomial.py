"""Sparse functions of masks: sums of parities, and the algebra on them.

With signs ``x_i = +1`` where component i is kept and ``-1`` where it is ablated, every function of masks is a sum of
parities, ``f(m) = sum over S of c_S * prod over i in S of x_i``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb, sqrt

import numpy as np

from circuitspex.by_value import by_value
from circuitspex.errors import UserError
from circuitspex.typing import FloatArray, IntArray, Masks, Term, Values

# Products are computed for this many (mask, term) pairs at once: about 32 MB of doubles.
_CHUNK = 4_000_000


def signs(masks: Masks) -> FloatArray:
    """``+1`` where kept, ``-1`` where ablated."""
    return np.where(masks, 1.0, -1.0)


def products(x: FloatArray, terms: Iterable[Term]) -> FloatArray:
    """The parity of each term at each row of signs: ``(K, n)`` in, ``(K, terms)`` out."""
    terms = list(terms)
    out = np.empty((len(x), len(terms)))
    by_order: dict[int, list[int]] = {}
    for column, term in enumerate(terms):
        by_order.setdefault(len(term), []).append(column)
    for order, columns in by_order.items():
        if order == 0:
            out[:, columns] = 1.0
            continue
        members = np.array([terms[column] for column in columns])
        value = x[:, members[:, 0]]
        for place in range(1, order):
            value = value * x[:, members[:, place]]
        out[:, columns] = value
    return out


@by_value
@dataclass(frozen=True)
class Polynomial:
    """A sparse function of signs: ``coefficients[t]`` times the parity of ``terms[t]``, summed."""

    terms: tuple[Term, ...]
    coefficients: FloatArray

    @classmethod
    def of(cls, table: Mapping[Term, float]) -> Polynomial:
        """From coefficients by term; sorted by order, then by index, zeros left out."""
        kept = sorted((term for term, value in table.items() if value != 0), key=lambda term: (len(term), term))
        return cls(tuple(kept), np.array([table[term] for term in kept], dtype=np.float64))

    @classmethod
    def affine(cls, constant: float, weights: FloatArray) -> Polynomial:
        """``constant + sum of weights[i] x_i``."""
        return cls.of({(): float(constant), **{(i,): float(w) for i, w in enumerate(weights)}})

    def table(self) -> dict[Term, float]:
        """Coefficients by term."""
        return dict(zip(self.terms, self.coefficients.tolist(), strict=True))

    def predict(self, x: FloatArray) -> Values:
        """The value at each row of signs ``(K, n)``."""
        out = np.zeros(len(x))
        size = max(1, _CHUNK // max(1, len(x)))
        for start in range(0, len(self.terms), size):
            stop = start + size
            out += products(x, self.terms[start:stop]) @ self.coefficients[start:stop]
        return out

    def renamed(self, names: IntArray) -> Polynomial:
        """The same function with component ``names[i]`` in the place of i; all are different."""
        known = names.tolist()
        return Polynomial(tuple(tuple(sorted(known[i] for i in term)) for term in self.terms), self.coefficients)

    def variance(self) -> float:
        """The variance over uniform masks: the sum of squares of all coefficients but the constant (Parseval)."""
        return float(sum(c * c for t, c in zip(self.terms, self.coefficients, strict=True) if t))


def combine(parts: Iterable[tuple[float, Polynomial]]) -> Polynomial:
    """The weighted sum of polynomials."""
    total: dict[Term, float] = {}
    for weight, part in parts:
        if weight == 0:
            continue
        for term, value in zip(part.terms, part.coefficients.tolist(), strict=True):
            total[term] = total.get(term, 0.0) + weight * value
    return Polynomial.of(total)


def spread(
    table: Mapping[Term, float], weight: Callable[[int, int], float], most: int | None = None
) -> dict[Term, float]:
    """``out[S] = sum over T >= S of weight(|T|, |S|) table[T]``, for the S of at most ``most`` members."""
    out: dict[Term, float] = {}
    for term, value in table.items():
        for size in range(min(len(term), len(term) if most is None else most) + 1):
            factor = weight(len(term), size)
            for subset in combinations(term, size) if factor != 0 else ():
                out[subset] = out.get(subset, 0.0) + factor * value
    return out


def fourier_to_mobius(table: Mapping[Term, float]) -> dict[Term, float]:
    """Parities to ANDs of kept components.

    ``x_i = 2 m_i - 1``, so ``mobius(S) = 2^|S| sum_{T >= S} (-1)^(|T|-|S|) c_T``.
    """
    return spread(table, lambda t, s: 2.0**s * (-1.0) ** (t - s))


def mobius_to_fourier(table: Mapping[Term, float]) -> dict[Term, float]:
    """ANDs of kept components to parities: ``m_i = (1 + x_i) / 2``, so ``c_S = sum_{T >= S} 2^-|T| mobius(T)``."""
    return spread(table, lambda t, s: 2.0**-t)


def fourier_to_biased(table: Mapping[Term, float], keep: float) -> dict[Term, float]:
    """Parities to the Fourier basis of masks that keep each component with the probability p = ``keep``.

    ``phi_S(m) = prod over i in S of (m_i - p) / sqrt(p (1 - p))`` with ``m_i`` = 1 kept, 0 ablated. These are
    orthonormal over masks that keep each component independently with probability p (O'Donnell 2014, Analysis of
    Boolean Functions, section 8.4); at p = 1/2 they are the parities.
    ``x_i = (2p - 1) + 2 sqrt(p(1-p)) phi_i``, so
    ``b_S = sum over T >= S of (2 sqrt(p(1-p)))^|S| (2p - 1)^(|T|-|S|) c_T``. ``b_()`` is the mean.

    Raises:
        UserError: ``keep`` is not strictly between 0 and 1.
    """
    if not 0 < keep < 1:
        raise UserError(f"keep must be between 0 and 1, both excluded, not {keep}: at 0 and 1 masks do not vary")
    centre, scale = 2 * keep - 1, 2 * sqrt(keep * (1 - keep))  # mean and standard deviation of x_i
    return spread(table, lambda t, s: scale**s * centre ** (t - s))


def mean_differences(table: Mapping[Term, float], keep: float) -> dict[Term, float]:
    """The effect of each term's set: its |S|-fold difference between kept and ablated, averaged over random contexts.

    Contexts keep each other component with probability ``keep``:
    ``effect(S) = 2^|S| sum_{T >= S} c_T (2 keep - 1)^(|T| - |S|)``. At one half it is ``2^|S| c_S``, the Banzhaf
    interaction index (Grabisch and Roubens 1999).
    """
    bias = 2 * keep - 1
    found = spread(table, lambda t, s: 2.0**s * bias ** (t - s))
    return {term: found.get(term, 0.0) for term in table if term}


def n_terms(n_players: int, order: int) -> int:
    """How many terms there are up to an order, the constant included."""
    return sum(comb(n_players, k) for k in range(order + 1))
