"""From a Gaussian process to the few interactions that make up its function."""

from __future__ import annotations

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.decoders.gp import AnovaFit
from circuitspex.typing import FloatArray, IntArray, Term

# Pairs are read among this many components, triples among this many, and this many interactions are kept in all.
_PAIR_COMPONENTS = 1500
_TRIPLE_COMPONENTS = 64
_MOST_TERMS = 4000
# Interactions are kept until the rest would add less than this share of the variance.
_LOST_VARIANCE = 1e-3


def largest_terms(fit: AnovaFit) -> tuple[Term, ...]:
    """The constant, all main effects, and the largest pairs and triples."""
    orders = fit.prior.orders
    n = fit.x.shape[1]
    singles = fit.coefficients(np.arange(n)[:, None])
    ranked = np.argsort(-fit.prior.relevance, kind="stable")
    terms: list[Term] = []
    sizes: list[float] = []
    if orders[1] > 0 and n > 1:
        rows = np.sort(ranked[:_PAIR_COMPONENTS])
        pairs = fit.pairs(rows)
        first, second = np.triu_indices(len(rows), 1)
        strength = pairs[first, second]
        largest = np.argsort(-np.abs(strength), kind="stable")[:_MOST_TERMS]
        terms += [(int(rows[first[i]]), int(rows[second[i]])) for i in largest]
        sizes += [float(strength[i]) for i in largest]
    if orders[2] > 0 and n > 2:
        rows = np.sort(ranked[:_TRIPLE_COMPONENTS])
        members, strength = fit.triples(rows)
        largest = np.argsort(-np.abs(strength), kind="stable")[:_MOST_TERMS]
        terms += [(int(a), int(b), int(c)) for a, b, c in members[largest]]
        sizes += [float(strength[i]) for i in largest]
    energy = np.array(sizes) ** 2
    order = np.argsort(-energy, kind="stable")[:_MOST_TERMS]
    total = float(energy.sum() + (singles**2).sum())
    rest = energy[order][::-1].cumsum()[::-1]  # what would be lost from here on
    kept = order[rest > _LOST_VARIANCE * total]
    return ((), *((i,) for i in range(n)), *sorted((terms[i] for i in kept), key=lambda term: (len(term), term)))


def read(fit: AnovaFit, terms: tuple[Term, ...]) -> Polynomial:
    """The fit's function, cut down to these terms."""
    coefficients = np.empty(len(terms))
    by_order: dict[int, list[int]] = {}
    for place, term in enumerate(terms):
        by_order.setdefault(len(term), []).append(place)
    for order, places in by_order.items():
        if order == 0:
            coefficients[places] = fit.constant()
        else:
            members = np.array([terms[place] for place in places], dtype=np.int64)
            coefficients[places] = _coefficients_in_parts(fit, members)
    return Polynomial(terms, coefficients)


def _coefficients_in_parts(fit: AnovaFit, members: IntArray) -> FloatArray:
    size = max(1, 2_000_000 // (len(fit.x) * members.shape[1]))
    parts = [fit.coefficients(members[start : start + size]) for start in range(0, len(members), size)]
    return np.concatenate(parts)
