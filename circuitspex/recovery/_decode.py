"""``decode``: values (and gradients) under masks in, interactions out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from circuitspex.checks import check_finite
from circuitspex.errors import UserError
from circuitspex.recovery.decoders.table import DECODERS, Decoder, Method
from circuitspex.recovery.interactions import Interactions
from circuitspex.recovery.result import (
    LOW_R2,
    check_names,
    interactions_of,
    warn_of_fixed_components,
    warn_of_little,
)
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.learning_curve import learning_curve, likely_budget
from circuitspex.recovery.scoring.standard_errors import bootstrap_errors
from circuitspex.recovery.standard_form import fit_in_standard_form
from circuitspex.scale import MOST, check_seed, power_of_two, whole
from circuitspex.typing import PerPrompt
from circuitspex.unmoved import one_blas_thread

# Decoding parts of the masks again, for the learning curve, is worth its time up to so many masks times components.
_QUICK = 1_000_000


def decode(
    masks: Any,
    values: Any,
    *,
    gradients: Any = None,
    method: Method = "auto",
    max_order: int | None = None,
    keep: float | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
    bootstrap: int = 0,
    per_prompt: Any = None,
) -> Interactions:
    """Recover from ablations which components matter, and which interact.

    Args:
        masks: bool ``(K, n)``, True = kept.
        values: float ``(K,)``, the value under each mask.
        gradients: float ``(K, n)``, d value / d gate at each mask, in units of the value; optional.
        method: a name in ``circuitspex.recovery.DECODERS``, whose entries say what each is for (docs/decoders.md):
            'auto' uses gradients where there are any; 'linear', 'pursuit', 'proxyspex' and 'gp' use values alone;
            'gradspex' needs gradients; 'spex' needs masks that follow its own design,
            ``CodedDesign.choose(n, K).masks()``, which ``circuitspex.spex`` runs and decodes in one call.
        max_order: the largest interaction that is looked for; by default 3 for Gaussian processes, 5 for the others.
        keep: the probability with which the masks kept a component, which ``Interactions.effect`` and the 'biased'
            basis refer to; by default the share kept in the masks.
        seed: for the folds and the trees; the same seed gives the same result, bit for bit.
        names: what the components are called; by default their indices.
        bootstrap: standard errors from so many repetitions of the whole decoding on masks drawn with replacement, each
            as long as the decoding itself; by default (0) they come from the fits without each fold.
        per_prompt: float ``(K, P)``, the values by prompt, whose mean over prompts the values are; with ``bootstrap``
            prompts are drawn with replacement too.

    Returns:
        ``Interactions``, whose ``predict`` gives the decoded value of any mask.

    Raises:
        UserError: wrong shapes, NaN or infinities, fewer than two distinct masks, an unknown method, 'gradspex'
            without gradients, 'spex' with masks that follow no such design or with ``bootstrap`` (its masks can't be
            drawn), or values by prompt whose mean is not the values.

    Warns:
        UserWarning: where the values do not vary, where components are never ablated or never kept in the masks, and
            where little of the values is explained.
    """
    decoder = DECODERS[method]
    max_order = None if max_order is None else whole(max_order, "max_order", 1)
    seed, bootstrap = check_seed(seed), whole(bootstrap, "bootstrap", 0, MOST)
    if decoder.uses_gradients == "needs" and gradients is None:
        raise UserError(f"method '{method}' needs gradients (d value / d gate, one row a mask); 'auto' does without")
    unit = power_of_two(check_finite(values, (None,), "values"))
    samples = Samples.check(masks, values, gradients, seed, keep=keep, unit=unit)
    labels = check_names(names, samples.n_players)
    by_prompt = _check_bootstrap(bootstrap, per_prompt, samples, method, unit)
    with_gradients = samples.sign_gradients is not None and decoder.uses_gradients != "no"
    if decoder.check is not None:
        decoder.check(samples)
    warn_of_fixed_components(samples.x, labels)
    started = time.perf_counter()
    # The matrices are small: threads of the linear algebra fight each other for longer than they compute.
    with one_blas_thread():
        fitted = _fit(samples, decoder, max_order)
        seconds = time.perf_counter() - started
        errors = None
        if bootstrap:
            errors = bootstrap_errors(
                samples, lambda part: _fit(part, decoder, max_order), fitted.function, bootstrap, by_prompt
            )
        result = interactions_of(
            fitted,
            samples,
            labels,
            "gradspex" if with_gradients and method == "auto" else method,
            n_gradients=len(samples.values) if with_gradients else 0,
            seconds=seconds,
            errors=errors,
            unit=unit,
        )
        r2 = result.cross_validated.r2
        if r2 is not None and r2 < LOW_R2 and not decoder.makes_its_own_masks and samples.x.size < _QUICK:
            curve = learning_curve(samples, lambda part: _fit(part, decoder, max_order))
            needed = likely_budget([*curve, (len(samples.values), r2)], LOW_R2)
            result = replace(result, likely_budget=needed)
    if (
        with_gradients
        and result.cross_validated.r2 is not None
        and samples.sign_gradients is not None
        and not samples.sign_gradients.any()
    ):
        warnings.warn("all gradients are zero although the values vary: they were left out of account", stacklevel=2)
    warn_of_little(result)
    return result


def _fit(samples: Samples, decoder: Decoder, max_order: int | None) -> Fitted:
    def fit(part: Samples) -> Fitted:
        fitted: Fitted = decoder.fit(part, max_order=max_order)
        return fitted

    return fit_in_standard_form(samples, fit, reorder=not decoder.makes_its_own_masks)


def _check_bootstrap(bootstrap: int, per_prompt: Any, samples: Samples, method: str, unit: float) -> PerPrompt | None:
    own_masks = DECODERS[method].makes_its_own_masks
    if bootstrap and (bootstrap < 2 or own_masks):
        raise UserError(
            f"method '{method}' decodes a design as a whole: its masks can't be drawn with replacement"
            if own_masks
            else f"bootstrap must be 0 or at least 2 repetitions, not {bootstrap}"
        )
    if per_prompt is None:
        return None
    by_prompt = check_finite(per_prompt, (len(samples.values), None), "values by prompt") / unit
    # Rounding in single precision, and little of how far the values spread: an offset must not hide other values.
    most = 1e-6 * float(np.abs(by_prompt).max(initial=1e-300)) + 1e-4 * float(np.ptp(samples.values))
    if by_prompt.shape[1] < 1 or not np.allclose(by_prompt.mean(1), samples.values, rtol=0, atol=most):
        raise UserError("the mean of the values by prompt must be the values")
    return by_prompt
