"""ProxySPEX: boosted trees as a proxy, their parities read out exactly, the largest kept and fitted again.

Butler et al., 'ProxySPEX: Inference-efficient interpretability via sparse feature interactions in LLMs', 2025,
arXiv 2505.17495. Here the number of kept parities is chosen by cross-validation rather than by a share of the energy
(which saturates), and the trees' own function is one of the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import RidgeCV

from circuitspex.recovery.data import Fitted, Samples
from circuitspex.recovery.polynomial import Polynomial, products
from circuitspex.recovery.trees import fit_trees, staged_predictions, tree_polynomial
from circuitspex.typing import FloatArray, Term, Values

_DEPTHS = (3, 5)
_ROUNDS = [25, 50, 100, 200, 400]
_SIZES = (10, 20, 40, 80, 160, 320, 640)
_PENALTIES = np.geomspace(1e-3, 1e3, 13)


@dataclass(frozen=True)
class _Proxy:
    """Trees of one shape, fitted to all samples or to all but one fold, as parities with the largest first."""

    function: Polynomial
    ranked: tuple[Term, ...]


def fit_proxyspex(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """Trees of a cross-validated shape, then ridge on their largest parities, their number cross-validated too."""
    depth, rounds = _shape(samples, max_order)
    by_fold = [_proxy(samples.without(fold), depth, rounds) for fold in samples.folds]
    sizes = [size for size in _SIZES if size <= 2 * len(samples.values)]
    candidates: list[tuple[list[Polynomial], Values]] = []
    for size in [None, *sizes]:
        functions = []
        held_out = np.empty_like(samples.values)
        for fold, proxy in zip(samples.folds, by_fold, strict=True):
            part = samples.without(fold)
            function = proxy.function if size is None else _refit(part.x, part.values, proxy.ranked[:size])
            out = samples.fold == fold
            held_out[out] = function.predict(samples.x[out])
            functions.append(function)
        candidates.append((functions, held_out))
    errors = [((samples.values - held_out) ** 2).sum() for _, held_out in candidates]
    best = int(np.argmin(errors))
    whole = _proxy(samples, depth, rounds)
    chosen = [None, *sizes][best]
    function = whole.function if chosen is None else _refit(samples.x, samples.values, whole.ranked[:chosen])
    return Fitted(function, tuple(candidates[best][0]), candidates[best][1])


def _shape(samples: Samples, max_order: int | None) -> tuple[int, int]:
    """The depth and the number of rounds with the smallest cross-validated error."""
    depths = sorted({min(depth, max_order or depth) for depth in _DEPTHS})
    best = (np.inf, depths[0], _ROUNDS[0])
    for depth in depths:
        errors = np.zeros(len(_ROUNDS))
        for fold in samples.folds:
            part, out = samples.without(fold), samples.fold == fold
            booster = fit_trees(part.x, part.values, depth=depth, rounds=_ROUNDS[-1], seed=samples.seed)
            predicted = staged_predictions(booster, samples.x[out], _ROUNDS)
            errors += ((samples.values[out, None] - predicted) ** 2).sum(0)
        count = int(np.argmin(errors))
        best = min(best, (float(errors[count]), depth, _ROUNDS[count]))
    return best[1], best[2]


def _proxy(samples: Samples, depth: int, rounds: int) -> _Proxy:
    booster = fit_trees(samples.x, samples.values, depth=depth, rounds=rounds, seed=samples.seed)
    function = tree_polynomial(booster)
    order = np.argsort(-np.abs(function.coefficients), kind="stable")
    ranked = tuple(function.terms[index] for index in order if function.terms[index])
    return _Proxy(function, ranked)


def _refit(x: FloatArray, values: Values, terms: tuple[Term, ...]) -> Polynomial:
    """Ridge on these parities; the penalty by exact leave-one-out."""
    if not terms:
        return Polynomial.of({(): float(values.mean())})
    model = RidgeCV(alphas=_PENALTIES).fit(products(x, terms), values)
    table = dict(zip(terms, model.coef_.tolist(), strict=True))
    return Polynomial.of(table | {(): float(model.intercept_)})
