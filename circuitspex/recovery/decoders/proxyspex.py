"""ProxySPEX: boosted trees as a proxy, their parities read out exactly, the largest kept and fitted again.

Butler et al., 'ProxySPEX: Inference-efficient interpretability via sparse feature interactions in LLMs', 2025,
arXiv 2505.17495. Here the number of kept parities is chosen by cross-validation rather than by a share of the energy
(which saturates), and the trees' own function is one of the candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial, products
from circuitspex.recovery.decoders.linear import fit_linear
from circuitspex.recovery.decoders.ridge import fit_ridge
from circuitspex.recovery.decoders.trees import fit_trees, staged_predictions, tree_polynomial
from circuitspex.recovery.samples import Fitted, Samples, cross_fit
from circuitspex.typing import Term
from circuitspex.unmoved import unmoved

with unmoved():
    import lightgbm

_DEPTHS = (2, 3, 5)
_ROUNDS = [25, 50, 100, 200, 400]
_SIZES = (10, 20, 40, 80, 160, 320, 640)
# With this many masks times components one shape of tree is enough work.
_LARGE = 200_000


@dataclass(frozen=True)
class _Boosted:
    """Trees of each depth, and their predictions for the fold that was left out, by depth and rounds."""

    boosters: dict[int, lightgbm.Booster]
    staged: dict[int, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]


def fit_proxyspex(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """Trees of a cross-validated shape, then ridge on their largest parities, their number cross-validated too."""
    if max_order == 1:
        return fit_linear(samples)
    depths, stages = _shapes(samples, max_order)

    def boost(part: Samples, fold: int | None) -> _Boosted:
        boosters = {}
        staged = {}
        for depth in depths:
            booster = fit_trees(part.x, part.values, depth=depth, rounds=stages[-1], seed=samples.seed)
            boosters[depth] = booster
            if fold is not None:
                staged[depth] = staged_predictions(booster, samples.x[samples.fold == fold], stages)
        return _Boosted(boosters, staged)

    whole, by_fold = cross_fit(samples, boost)
    best = (np.inf, depths[0], stages[0])
    for depth in depths:
        errors = np.zeros(len(stages))
        for fold, boosted in zip(samples.folds, by_fold, strict=True):
            errors += ((samples.values[samples.fold == fold, None] - boosted.staged[depth]) ** 2).sum(0)
        count = int(np.argmin(errors))
        best = min(best, (float(errors[count]), depth, stages[count]))
    _, depth, rounds = best
    sizes = [None, *(size for size in _SIZES if size <= 2 * len(samples.values))]

    def refit(part: Samples, fold: int | None) -> list[Polynomial]:
        boosted = whole if fold is None else by_fold[fold]
        return _candidates(part, tree_polynomial(boosted.boosters[depth], rounds), sizes)

    functions, by_fold_functions = cross_fit(samples, refit)
    by_size = zip(*by_fold_functions, strict=True)
    held_out = np.stack([samples.out_of_fold(each.predict for each in of_size) for of_size in by_size], axis=1)
    chosen = int(np.argmin(((samples.values[:, None] - held_out) ** 2).sum(0)))
    return Fitted(functions[chosen], tuple(each[chosen] for each in by_fold_functions), held_out[:, chosen])


def _shapes(samples: Samples, max_order: int | None) -> tuple[list[int], list[int]]:
    """Which depths and numbers of rounds to try."""
    depths = (3,) if samples.x.size > _LARGE else _DEPTHS
    stages = _ROUNDS[:-1] if samples.x.size > _LARGE else _ROUNDS
    return sorted({min(depth, max_order or depth) for depth in depths}), list(stages)


def _candidates(part: Samples, trees: Polynomial, sizes: list[int | None]) -> list[Polynomial]:
    """The trees themselves (None), and ridge on their largest parities."""
    order = np.argsort(-np.abs(trees.coefficients), kind="stable")
    ranked: list[Term] = [trees.terms[index] for index in order if trees.terms[index]]
    most = max((size for size in sizes if size), default=0)
    features = products(part.x, ranked[:most])
    out = []
    for size in sizes:
        if size is None:
            out.append(trees)
            continue
        terms = ranked[:size]
        model = fit_ridge(features[:, : len(terms)], part.values)
        table = dict(zip(terms, model.weights.tolist(), strict=True))
        out.append(Polynomial.of(table | {(): model.constant}))
    return out
