"""Stacking: decoders combined by what each predicts out of fold.

Wolpert, 'Stacked generalization', 1992; with weights that can't be negative, Breiman, 'Stacked regressions', 1996. All
decoders give sums of parities, so the combination is one too, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from circuitspex.recovery.data import Fitted
from circuitspex.recovery.polynomial import Polynomial, combine
from circuitspex.typing import Values


def stack(parts: Sequence[Fitted], values: Values) -> Fitted:
    """The non-negative combination, with a constant, that predicts the values best out of fold."""
    if len(parts) == 1:
        return parts[0]
    predicted = np.stack([part.out_of_fold for part in parts], axis=1)
    means = predicted.mean(0)
    weights, _ = nnls(predicted - means, values - values.mean())
    constant = float(values.mean() - means @ weights)
    folds = zip(*(part.without_fold for part in parts), strict=True)

    def mixed(functions: Sequence[Polynomial]) -> Polynomial:
        shift = Polynomial.of({(): constant})
        return combine([(1.0, shift), *zip(weights.tolist(), functions, strict=True)])

    return Fitted(
        mixed([part.function for part in parts]), tuple(mixed(each) for each in folds), predicted @ weights + constant
    )


def clearly_better(new: Fitted, old: Fitted, values: Values) -> bool:
    """Whether ``new`` has a smaller squared error out of fold than ``old``, by more than one standard error.

    The rule of one standard error (Breiman et al., 'Classification and Regression Trees', 1984): from few masks, a part
    that knows nothing can always look a little useful.
    """
    gain = (values - old.out_of_fold) ** 2 - (values - new.out_of_fold) ** 2
    return bool(gain.mean() > gain.std() / np.sqrt(len(values)))
