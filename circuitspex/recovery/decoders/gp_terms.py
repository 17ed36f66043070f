"""From a Gaussian process to the few interactions that make up its function over the masks that it is used for."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.decoders.gp import AnovaFit
from circuitspex.recovery.decoders.gp_centre import Centred
from circuitspex.typing import FloatArray, IntArray, Term

# Pairs are read among this many components, triples among this many, and this many interactions are kept in all.
_PAIR_COMPONENTS = 1500
_TRIPLE_COMPONENTS = 64
_MOST_TERMS = 4000
# Interactions are kept until the rest would add less than this share of the variance.
_LOST_VARIANCE = 1e-3


def largest_terms(fit: AnovaFit, mu: float = 0.0) -> tuple[Term, ...]:
    """The pairs and triples that add most to the variance over masks whose signs have mean ``mu``."""
    orders = fit.prior.orders
    n = fit.x.shape[1]
    centred = Centred.of(fit, mu)
    varies = 1 - mu**2  # the variance of a sign
    ranked = np.argsort(-fit.prior.relevance, kind="stable")
    terms: list[Term] = []
    energies: list[float] = []
    if orders[1] > 0 and n > 1:
        rows = np.sort(ranked[:_PAIR_COMPONENTS])
        pairs = centred.pairs(rows)
        first, second = np.triu_indices(len(rows), 1)
        strength = pairs[first, second]
        largest = np.argsort(-np.abs(strength), kind="stable")[:_MOST_TERMS]
        terms += [(int(rows[first[i]]), int(rows[second[i]])) for i in largest]
        energies += (strength[largest] ** 2 * varies**2).tolist()
    if orders[2] > 0 and n > 2:
        rows = np.sort(ranked[:_TRIPLE_COMPONENTS])
        members, strength = fit.triples(rows)
        largest = np.argsort(-np.abs(strength), kind="stable")[:_MOST_TERMS]
        terms += [(int(a), int(b), int(c)) for a, b, c in members[largest]]
        energies += (strength[largest] ** 2 * varies**3).tolist()
    energy = np.array(energies)
    order = np.argsort(-energy, kind="stable")[:_MOST_TERMS]
    total = float(energy.sum() + varies * (centred.singles**2).sum())
    rest = energy[order][::-1].cumsum()[::-1]  # what would be lost from here on
    kept = order[rest > _LOST_VARIANCE * total]
    return tuple(sorted((terms[i] for i in kept), key=lambda term: (len(term), term)))


def read(fit: AnovaFit, terms: tuple[Term, ...], mu: float = 0.0) -> Polynomial:
    """The fit's function cut down to its constant, its main effects and these pairs and triples, about ``mu``.

    As parities: where ``mu`` is not 0, the pairs inside of a triple are among them too.
    """
    n = fit.x.shape[1]
    centred = Centred.of(fit, mu)
    pairs = np.array([term for term in terms if len(term) == 2], dtype=np.int64).reshape(-1, 2)
    triples = np.array([term for term in terms if len(term) == 3], dtype=np.int64).reshape(-1, 3)
    of_pairs, of_triples = _pairs(centred, pairs), _in_parts(fit, triples)
    # z_i, z_i z_j and z_i z_j z_k with z = x - mu, multiplied out.
    singles = centred.singles - mu * _by_member(pairs, of_pairs, n) + mu**2 * _by_member(triples, of_triples, n)
    constant = centred.constant - mu * (centred.singles.sum() - mu * of_pairs.sum() + mu**2 * of_triples.sum())
    higher = dict(zip(map(tuple, pairs.tolist()), of_pairs.tolist(), strict=True))
    higher |= zip(map(tuple, triples.tolist()), of_triples.tolist(), strict=True)
    if mu:
        for triple, value in zip(triples.tolist(), of_triples.tolist(), strict=True):
            for pair in combinations(triple, 2):
                higher[pair] = higher.get(pair, 0.0) - mu * value
    ordered = sorted(higher, key=lambda term: (len(term), term))
    coefficients = np.concatenate([[constant], singles, [higher[term] for term in ordered]])
    return Polynomial(((), *((i,) for i in range(n)), *ordered), coefficients)


def _pairs(centred: Centred, members: IntArray) -> FloatArray:
    """``D`` of some pairs ``(t, 2)``."""
    rows, place = np.unique(members, return_inverse=True)
    first, second = place.reshape(members.shape).T
    return np.asarray(centred.pairs(rows)[first, second]) if len(rows) else np.zeros(0)


def _by_member(members: IntArray, coefficients: FloatArray, n: int) -> FloatArray:
    """For each of n components the sum over the interactions that it is in."""
    out = np.zeros(n)
    for column in members.T:
        np.add.at(out, column, coefficients)
    return out


def _in_parts(fit: AnovaFit, members: IntArray) -> FloatArray:
    size = max(1, 2_000_000 // (len(fit.x) * members.shape[1]))
    parts = [fit.coefficients(members[start : start + size]) for start in range(0, len(members), size)]
    return np.concatenate(parts) if parts else np.zeros(0)
