"""GradSPEX: values and gradients decoded together.

One backward pass gives the gradient of the value along every gate, ``n`` numbers for the price of about two forward
passes. They are noisy measurements of the same sparse function: a Gaussian process over interactions of order 1 to 3
(``gp.py``) takes both in. How far the gradients of each component can be trusted is measured, not assumed: their noise
is what cross-validation leaves unexplained, for each component with a scale of its own and Student's t around it
(robust regression: Lange, Little and Taylor 1989), so that a few gradients that dwarf every real effect count little.
``stack.py`` then combines the result with decoders that never saw a gradient, weighted by what each predicts out of
fold, so that gradients can't make it much worse than leaving them out. Masks under which *all* gradients are huge are
taken down first (``heavy.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitspex.recovery.decoders.gp import AnovaFit, Prior, fit_anova, relevance_from_gradients
from circuitspex.recovery.decoders.gp_centre import centre_of
from circuitspex.recovery.decoders.gp_terms import largest_terms, read
from circuitspex.recovery.decoders.heavy import excess_of
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.typing import FloatArray, Values

# Student's t with this many degrees of freedom for the gradients' noise: the usual choice for robust regression.
_FREEDOM = 4.0
# The median square of a standard normal number; scales a median of squares to a variance.
_MEDIAN_SQUARE = 0.455
# Before anything is known: the share of a component's mean square gradient that is taken as noise.
_FIRST_NOISE = 0.2
# The first fit only measures the noise: it need not be solved as far.
_FIRST_TOLERANCE = 1e-2
# No component's gradients are trusted beyond this share of their mean square.
_LEAST_NOISE = 1e-3


@dataclass(frozen=True)
class _CrossFit:
    """Fits without each fold, and what they predict for their own fold."""

    fits: tuple[AnovaFit, ...]
    values: Values
    sign_gradients: FloatArray


def fit_gradspex(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """The Gaussian process on values and gradients, read out as parities; ``samples`` must have gradients."""
    sign_gradients = samples.sign_gradients
    if sign_gradients is None:
        raise ValueError("gradspex needs gradients")
    excess = excess_of(sign_gradients)
    square = ((sign_gradients / excess) ** 2).mean(0)
    floor = max(float(square.max()) * 1e-9, 1e-30)
    first = _cross_fit(samples, np.maximum(_FIRST_NOISE * square, floor) * excess**2, max_order, _FIRST_TOLERANCE)
    noise = _robust_noise((sign_gradients - first.sign_gradients) / excess, np.maximum(square, floor)) * excess**2
    second = _cross_fit(samples, noise, max_order)
    variance = float(samples.values.var())
    whole = fit_anova(samples.x, samples.values, sign_gradients, noise, _prior(samples, variance, max_order))
    mu = centre_of(samples.keep)
    terms = largest_terms(whole, mu)
    functions = [read(fit, terms, mu) for fit in second.fits]
    return Fitted(read(whole, terms, mu), tuple(functions), second.values)


def _prior(samples: Samples, variance: float, max_order: int | None) -> Prior:
    """Relevances from the gradients of these samples, each mask's at most twice as long as the median.

    ``variance`` is that of the values of all samples: those of a part of few may be equal.
    """
    sign_gradients = samples.sign_gradients
    assert sign_gradients is not None
    w1, w2, w3 = (1.0 if order <= (max_order or 3) else 0.0 for order in (1, 2, 3))
    relevance = relevance_from_gradients(sign_gradients / excess_of(sign_gradients))
    return Prior(relevance, variance, orders=(w1, w2, w3))


def _cross_fit(samples: Samples, noise: FloatArray, max_order: int | None, tolerance: float = 1e-3) -> _CrossFit:
    """Without each fold, that fold's gradients have no part in the relevances either: its prediction is honest."""
    values = np.empty_like(samples.values)
    sign_gradients = np.empty_like(samples.x)
    fits = []
    for fold in samples.folds:
        part, left = samples.without(fold), samples.fold != fold
        assert part.sign_gradients is not None
        prior = _prior(part, float(samples.values.var()), max_order)
        fit = fit_anova(part.x, part.values, part.sign_gradients, noise[left], prior, tolerance=tolerance)
        values[~left] = fit.predict(samples.x[~left])
        sign_gradients[~left] = fit.predict_sign_gradients(samples.x[~left])
        fits.append(fit)
    return _CrossFit(tuple(fits), values, sign_gradients)


def _robust_noise(error: FloatArray, square: FloatArray) -> FloatArray:
    """The noise variance of each gradient, ``(K, n)``: its component's, and more where this one gradient is far off.

    The component's scale is a median, so that outliers don't widen it; the weight of each gradient is that of Student's
    t, one step of iteratively reweighted least squares.
    """
    scale = np.maximum(np.median(error**2, axis=0) / _MEDIAN_SQUARE, _LEAST_NOISE * square)
    return np.asarray(scale * (_FREEDOM + error**2 / scale) / (_FREEDOM + 1))
