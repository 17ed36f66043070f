"""A Gaussian process over sparse functions of masks whose relevances are learned from the values.

The prior is that of ``gp.py``: every interaction of order 1 to 3 has a coefficient, with a variance that is the product
of its members' relevances. Without gradients to show which components matter, boosted trees give a first guess, and the
marginal likelihood of the values improves on it (automatic relevance determination, MacKay 1992, Neal 1996). A
log-normal prior around the guess keeps hundreds of relevances from being fitted to a few dozen masks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import minimize

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.decoders.gp import CONSTANT, AnovaFit, Prior, cubes, heavy_ones
from circuitspex.recovery.decoders.gp_centre import centre_of
from circuitspex.recovery.decoders.gp_terms import largest_terms, read
from circuitspex.recovery.decoders.linear import fit_linear
from circuitspex.recovery.decoders.proxyspex import fit_proxyspex
from circuitspex.recovery.samples import Fitted, Samples, cross_fit
from circuitspex.typing import FloatArray, Values

# The guess: this share of the relevance is spread evenly, so that no component is ruled out.
_EVEN_SHARE = 0.2
# Before anything is learned: the weights of the orders and the noise, all relative to the values' variance.
_ORDERS = (0.3, 0.3, 0.3)
_NOISE = 0.03
# Relevances are learned from at most this many masks, in so many steps; then all masks are fitted.
_MOST_MASKS = 1000
_FEWER_MASKS = 500  # with more than so many masks times components
_LARGE = 1_000_000
# Beyond so many numbers in x the likelihood's gradient is summed in single precision: half the work.
_IN_DOUBLE = 400_000
_STEPS = 15
# Relevances and weights stay within e^-20 and e^7 of each other; the noise above 1e-5.
_LOWEST, _HIGHEST, _LEAST_NOISE = -20.0, 7.0, 1e-5


def fit_gp(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """The Gaussian process on values alone, with boosted trees as the first guess."""
    if max_order == 1:
        return fit_linear(samples)
    return fit_learned(samples, fit_proxyspex(samples, max_order=max_order), max_order=max_order)


def fit_learned(samples: Samples, start: Fitted, *, max_order: int | None = None) -> Fitted:
    """The Gaussian process on values alone; ``start`` is a decoder whose functions give the first guess."""

    def fit(part: Samples, fold: int | None) -> AnovaFit:
        guess = start.function if fold is None else start.without_fold[fold]
        return fit_values(part.x, part.values, learn(part, relevance_of(guess, part.n_players), max_order))

    whole, by_fold = cross_fit(samples, fit)
    mu = centre_of(samples.keep)
    terms = largest_terms(whole, mu)
    functions = tuple(read(found, terms, mu) for found in by_fold)
    return Fitted(read(whole, terms, mu), functions, samples.out_of_fold(found.predict for found in by_fold))


def relevance_of(function: Polynomial, n_players: int) -> FloatArray:
    """Each component's share of the variance: every term's, divided evenly among its members; some for all."""
    share = np.zeros(n_players)
    for term, coefficient in zip(function.terms, function.coefficients.tolist(), strict=True):
        for member in term:
            share[member] += coefficient**2 / len(term)
    total = float(share.sum())
    if total == 0:
        return np.full(n_players, 1 / n_players)
    return (1 - _EVEN_SHARE) * share / total + _EVEN_SHARE / n_players


def learn(part: Samples, guess: FloatArray, max_order: int | None, *, steps: int = _STEPS) -> Prior:
    """The prior that the values make most likely, near a guess of the relevances ``(n,)``."""
    orders = tuple(weight if order <= (max_order or 3) else 0.0 for order, weight in enumerate(_ORDERS, start=1))
    variance = max(float(part.values.var()), 1e-300)
    first = Prior(guess, variance, orders=orders, value_noise=_NOISE)  # type: ignore[arg-type]
    n = part.n_players
    most = _FEWER_MASKS if part.x.size > _LARGE else _MOST_MASKS
    x, y = part.x[:most], part.values[:most]
    y = (y - y.mean()) / np.sqrt(variance)
    used_orders = [order for order in range(3) if orders[order] > 0]
    start = np.concatenate([np.log(guess), np.log([orders[order] for order in used_orders]), [np.log(_NOISE)]])

    def prior(theta: FloatArray) -> Prior:
        weights = [0.0, 0.0, 0.0]
        for place, order in enumerate(used_orders):
            weights[order] = float(np.exp(theta[n + place]))
        return replace(
            first,
            relevance=np.exp(theta[:n]),
            orders=(weights[0], weights[1], weights[2]),
            value_noise=float(np.exp(theta[-1])),
        )

    def objective(theta: FloatArray) -> tuple[float, FloatArray]:
        loss, by_relevance, by_order, by_noise = likelihood(x, y, prior(theta))
        away = theta - start
        gradient = np.concatenate([by_relevance, by_order[used_orders], [by_noise]])
        return loss + 0.5 * float(away @ away), gradient + away

    bounds = [(_LOWEST, _HIGHEST)] * (len(start) - 1) + [(float(np.log(_LEAST_NOISE)), _HIGHEST)]
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
    return prior(found.x)


def likelihood(x: FloatArray, y: Values, prior: Prior) -> tuple[float, FloatArray, FloatArray, float]:
    """``-log p(y)`` for values of mean 0 and variance 1, and its gradient.

    The gradient is given along log relevances ``(n,)``, log weights of the orders ``(3,)`` and the log noise. With the
    covariance ``C`` of the values and ``W = C^-1 - C^-1 y y' C^-1``, its entry for any parameter is half of
    ``sum_kl W_kl dC_kl`` (Rasmussen and Williams, 'Gaussian Processes for Machine Learning', 2006, eq. 5.9).
    """
    rho = prior.relevance
    w1, w2, w3 = prior.orders
    n_masks = len(x)
    s = _sums(x, rho)
    square = float((rho**2).sum())
    e2 = s * s
    e3 = e2 * s
    e3 -= (3 * square) * s
    e3 += 2 * cubes(x, x, rho)
    e3 /= 6
    e2 -= square
    e2 /= 2
    inner = w2 * s
    inner += w1
    inner += w3 * e2
    covariance = w1 * s
    covariance += w2 * e2
    covariance += w3 * e3
    covariance += CONSTANT
    covariance[np.diag_indices(n_masks)] += prior.value_noise
    lower, failed = lapack.dpotrf(covariance, lower=1, clean=1)
    if failed:
        return 1e10, np.zeros_like(rho), np.zeros(3), 0.0
    half, _ = lapack.dpotri(lower, lower=1)  # the lower half of the inverse, the upper one left at zero
    half[np.diag_indices(n_masks)] /= 2
    w = half + half.T
    weights = w @ y
    loss = 0.5 * float(y @ weights) + float(np.log(np.diag(lower)).sum())
    w -= np.outer(weights, weights)
    # t_i = rho_i x_i x'_i has square rho_i², so what subtracts t_i from the sums is the same for all pairs of masks.
    inner *= w
    heavy = heavy_ones(rho)
    kind: Any = np.float32 if x.size > _IN_DOUBLE else np.float64
    light: Any = x.astype(kind, copy=False)
    along = np.einsum("kn,kn->n", inner.astype(kind, copy=False) @ light, light, dtype=np.float64)
    along -= rho * (w2 * float(w.sum()) + w3 * float(np.vdot(w, s)))
    along[heavy] += w3 * rho[heavy] ** 2 * ((w @ x[:, heavy]) * x[:, heavy]).sum(0)
    orders = 0.5 * np.array([w1 * np.vdot(w, s), w2 * np.vdot(w, e2), w3 * np.vdot(w, e3)])
    return loss, 0.5 * rho * along, orders, 0.5 * prior.value_noise * float(np.trace(w))


def fit_values(x: FloatArray, values: Values, prior: Prior) -> AnovaFit:
    """The posterior mean given values ``(K,)`` at rows of signs ``(K, n)``, by one Cholesky decomposition."""
    rho = prior.relevance
    w1, w2, w3 = prior.orders
    mean = float(values.mean())
    s = _sums(x, rho)
    square = float((rho**2).sum())
    # w1 s + w2 (s² - square) / 2 + w3 (s³ - 3 square s + 2 cubes) / 6, with as few passes over memory as there can be
    covariance = s * (w3 / 6)
    covariance += w2 / 2
    covariance *= s
    covariance += w1 - w3 / 2 * square
    covariance *= s
    covariance += CONSTANT - w2 / 2 * square
    covariance += cubes(x, x, rho) * (w3 / 3)
    covariance[np.diag_indices(len(x))] += prior.value_noise
    factor = cho_factor(covariance.T, overwrite_a=True, check_finite=False)
    weights = cho_solve(factor, values - mean) / prior.variance
    return AnovaFit(x, prior, mean, weights, None)


def _sums(x: FloatArray, rho: FloatArray) -> FloatArray:
    """``sum_i rho_i x_i x'_i`` for each pair of masks; as a matrix times itself, half the work is left out."""
    half = x * np.sqrt(rho)
    return np.asarray(half @ half.T)
