"""The function of a Gaussian process about the centre of its masks.

Masks that keep each component with probability p have signs of mean ``mu = 2p - 1``. A sum of parities is linear in
each sign, so that about that centre, with ``z = x - mu``, it is exactly

    f = f(mu) + sum_i d_i z_i + sum_ij D_ij z_i z_j + sum_ijk c_ijk z_i z_j z_k

whose terms are uncorrelated over those masks (they are the biased Fourier basis but for scale). ``d_i`` holds what all
interactions of i add to it on average: with p far from one half a few hundred small parities that are cut off one by
one would add up to a large error there, and cut off as z-products they add up to nothing.

Sums over all pairs and triples come from sums over components: nothing of size n³ is formed. With the fit's weights a
and b, its masks x and its relevances rho: ``R_k = sum_i rho_i x_ki`` and ``B_k = sum_i rho_i b_ki``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitspex.recovery.decoders.gp import AnovaFit
from circuitspex.typing import FloatArray, IntArray

# Centres nearer to zero than this are taken as zero: the shares of finitely many masks differ from one half by chance.
_LEAST_CENTRE = 0.1


def centre_of(keep: float) -> float:
    """``mu`` of masks that keep so large a share."""
    centre = 2 * keep - 1
    return centre if abs(centre) >= _LEAST_CENTRE else 0.0


@dataclass(frozen=True)
class Centred:
    """A fit about the centre ``mu``: ``constant`` is f there, ``singles`` ``(n,)`` are the d_i."""

    fit: AnovaFit
    mu: float
    constant: float
    singles: FloatArray

    @classmethod
    def of(cls, fit: AnovaFit, mu: float) -> Centred:
        """Exact, in ``O(K n)``."""
        singles = fit.coefficients(np.arange(fit.x.shape[1])[:, None])
        constant = fit.constant()
        if mu:
            pairs, triples = _sums_over_others(fit)
            constant += mu * (singles.sum() + mu * pairs.sum() / 2 + mu**2 * triples.sum() / 3)
            singles = singles + mu * pairs + mu**2 * triples
        return cls(fit, mu, float(constant), singles)

    def pairs(self, rows: IntArray) -> FloatArray:
        """``D`` among some components, a symmetric matrix with zero diagonal."""
        fit, mu = self.fit, self.mu
        out = fit.pairs(rows)
        if not mu or not fit.prior.orders[2]:
            return out
        x, a, rho = fit.x[:, rows], fit.value_weights, fit.prior.relevance[rows]
        sum_x = fit.x @ fit.prior.relevance
        ends = x.T @ a
        inner = a * sum_x
        if fit.gradient_weights is None:
            total = (x * inner[:, None]).T @ x
        else:
            b = fit.gradient_weights[:, rows]
            inner = inner + fit.gradient_weights @ fit.prior.relevance
            along = (b * sum_x[:, None]).T @ x
            total = (x * inner[:, None]).T @ x + along + along.T
            mixed = (x * b).T @ x
            ends = ends + b.sum(0)
            total -= 2 * (rho[:, None] * mixed + rho[None, :] * mixed.T)
        total -= rho[:, None] * ends[None, :] + rho[None, :] * ends[:, None]
        total *= mu * fit.prior.variance * fit.prior.orders[2] * np.outer(rho, rho)
        np.fill_diagonal(total, 0.0)
        return np.asarray(out + total)


def _sums_over_others(fit: AnovaFit) -> tuple[FloatArray, FloatArray]:
    """``sum_j c_ij`` and ``sum over pairs j < k of c_ijk``, over all others of each i: ``(n,)`` and ``(n,)``."""
    x, a, rho = fit.x, fit.value_weights[:, None], fit.prior.relevance
    _, w2, w3 = fit.prior.orders
    t = x * rho
    sum_x = t.sum(1, keepdims=True)
    pairs_x = (sum_x**2 - (rho**2).sum()) / 2
    rest = sum_x - t  # without i
    rest_pairs = pairs_x - t * rest
    pairs, triples = (a * x * rest).sum(0), (a * x * rest_pairs).sum(0)
    if fit.gradient_weights is not None:
        b = fit.gradient_weights
        u = b * rho
        sum_b = u.sum(1, keepdims=True)
        mixed = (u * rest).sum(1, keepdims=True)  # sum over j != k of rho_j b_j rho_k x_k
        rest_b = sum_b - u
        pairs = pairs + (b * rest + x * rest_b).sum(0)
        triples = triples + (b * rest_pairs + x * (mixed - u * rest - t * rest_b)).sum(0)
    scale = fit.prior.variance * rho
    return scale * w2 * pairs, scale * w3 * triples
