"""Standard errors by the bootstrap: the whole decoder again on masks, and prompts, drawn with replacement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.r2 import is_constant
from circuitspex.typing import FloatArray, PerPrompt


def bootstrap_errors(
    samples: Samples,
    fit: Callable[[Samples], Fitted],
    function: Polynomial,
    n_resamples: int,
    per_prompt: PerPrompt | None = None,
) -> FloatArray:
    """The standard deviation of each coefficient of ``function`` over resampled data (Efron 1979).

    Masks are drawn with replacement, and so are prompts where the values by prompt ``(K, P)`` are given: the errors
    then hold for other prompts of the same kind. Selection is part of what is repeated: a term that a resample does
    not find counts as zero there. Slopes go with their masks; they are not known by prompt. Copies of a mask share a
    fold, as they always do.
    """
    rng = np.random.default_rng([samples.seed, n_resamples])
    n_masks = len(samples.values)
    draws = np.zeros((n_resamples, len(function.terms)))
    for row in range(n_resamples):
        part = None
        while part is None:
            picks = rng.integers(0, n_masks, n_masks)
            values = samples.values
            if per_prompt is not None:
                n_prompts = per_prompt.shape[1]
                values = per_prompt[:, rng.integers(0, n_prompts, n_prompts)].mean(1)
            if len(np.unique(samples.x[picks], axis=0)) > 1:
                part = _drawn(samples, picks, values)
        found = Polynomial.of({(): float(part.values.mean())}) if is_constant(part.values) else fit(part).function
        table = found.table()
        draws[row] = [table.get(term, 0.0) for term in function.terms]
    return np.asarray(draws.std(axis=0, ddof=1))


def _drawn(samples: Samples, picks: np.ndarray[tuple[int, ...], np.dtype[np.int64]], values: FloatArray) -> Samples:
    gradients = None if samples.slopes is None else 2 * samples.slopes[picks]
    return Samples.check(samples.x[picks] > 0, values[picks], gradients, samples.seed, keep=None)
