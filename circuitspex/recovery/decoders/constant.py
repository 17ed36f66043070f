"""Values that do not vary: the function is their mean."""

from __future__ import annotations

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.samples import Fitted, Samples


def fit_constant(samples: Samples) -> Fitted:
    """The constant, in the fit to all masks and to each part of them."""
    mean = float(samples.values.mean())
    function = Polynomial.of({(): mean})
    return Fitted(function, tuple(function for _ in samples.folds), np.full_like(samples.values, mean))
