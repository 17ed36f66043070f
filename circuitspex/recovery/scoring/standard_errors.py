"""Standard errors of coefficients: the jackknife over folds, which is free, and the bootstrap of the whole decoding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.r2 import is_constant
from circuitspex.statistics import jackknife_errors, pigeonhole_draws
from circuitspex.typing import FloatArray, PerPrompt


def fold_errors(fitted: Fitted) -> FloatArray:
    """The delete-one-fold jackknife, from the functions fitted without each fold (``statistics.jackknife_errors``)."""
    tables = [function.table() for function in fitted.without_fold]
    return jackknife_errors(np.array([[table.get(term, 0.0) for term in fitted.function.terms] for table in tables]))


def bootstrap_errors(
    samples: Samples,
    fit: Callable[[Samples], Fitted],
    function: Polynomial,
    n_resamples: int,
    per_prompt: PerPrompt | None = None,
) -> FloatArray:
    """The standard deviation of each coefficient of ``function`` over resampled data (Efron 1979).

    Masks are drawn with replacement, and so are prompts where the values by prompt ``(K, P)`` are given (Owen's
    pigeonhole bootstrap, 2007): the errors then hold for other prompts of the same kind. Selection is part of what is
    repeated: a term that a resample does not find counts as zero there. Gradients are drawn with their masks; they are
    not known by prompt. Copies of a mask share a fold, as they always do.
    """
    by_prompt = samples.values[:, None] if per_prompt is None else per_prompt
    resamples = pigeonhole_draws(by_prompt.shape, np.random.default_rng([samples.seed, n_resamples]))
    draws = np.zeros((n_resamples, len(function.terms)))
    for row in range(n_resamples):
        masks, prompts = next(each for each in resamples if len(np.unique(samples.x[each[0]], axis=0)) > 1)
        part = samples.rows(masks, by_prompt[:, prompts].mean(1))
        found = Polynomial.of({(): float(part.values.mean())}) if is_constant(part.values) else fit(part).function
        table = found.table()
        draws[row] = [table.get(term, 0.0) for term in function.terms]
    return np.asarray(draws.std(axis=0, ddof=1))
