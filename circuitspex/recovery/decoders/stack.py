"""Stacking: decoders combined by what each predicts out of fold.

Wolpert, 'Stacked generalization', 1992; with weights that can't be negative, Breiman, 'Stacked regressions', 1996, by
non-negative least squares (Lawson and Hanson 1974). All decoders give sums of parities, so the combination is one too,
exactly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from circuitspex.recovery.bases.polynomial import Polynomial, combine
from circuitspex.recovery.decoders.exact import fit_complete
from circuitspex.recovery.decoders.gp_relevance import fit_learned
from circuitspex.recovery.decoders.gradspex import fit_gradspex
from circuitspex.recovery.decoders.linear import fit_linear
from circuitspex.recovery.decoders.proxyspex import fit_proxyspex
from circuitspex.recovery.decoders.pursuit import fit_pursuit
from circuitspex.recovery.decoders.screen import Screen
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.r2 import r_squared
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
    """Whether the squared error of ``new`` out of fold is smaller than that of ``old`` by more than one standard error.

    The rule of one standard error (Breiman et al., 'Classification and Regression Trees', 1984): from few masks, a
    decoder that knows nothing can always look a little useful.
    """
    gain = (values - old.out_of_fold) ** 2 - (values - new.out_of_fold) ** 2
    return bool(gain.mean() > gain.std() / np.sqrt(len(values)))


# Where the decoders with gradients explain so much more than those without, the slower ones of these are not tried.
_CLEAR_LEAD = 0.05


def fit_plain(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """LASSO, trees, the Gaussian process and pursuit, on values alone."""
    linear = fit_linear(samples)
    if max_order == 1:
        return linear
    trees = fit_proxyspex(samples, max_order=max_order)
    return stack(
        [
            linear,
            trees,
            fit_learned(samples, trees, max_order=max_order),
            fit_pursuit(samples, max_order=max_order),
        ],
        samples.values,
    )


def fit_with_gradients(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """GradSPEX: the Gaussian process on values and gradients, stacked with decoders that never saw a gradient.

    The stack with gradients is taken only where it is clearly better out of fold than the stack without: gradients must
    not make a result worse. Where there are none, or all are zero, it is the stack without.
    """
    if samples.sign_gradients is None or not samples.sign_gradients.any():
        return fit_plain(samples, max_order=max_order)
    screen = Screen.of(samples)
    part = screen.samples
    linear = fit_linear(part)
    quick = [linear] if max_order == 1 else [linear, fit_proxyspex(part, max_order=max_order)]
    process = fit_gradspex(part, max_order=max_order)
    with_gradients = stack([process, *quick], part.values)
    plain = stack(quick, part.values)
    lead = (r_squared(part.values, with_gradients.out_of_fold) or 0) - (r_squared(part.values, plain.out_of_fold) or 0)
    if max_order != 1 and not (lead > _CLEAR_LEAD and clearly_better(with_gradients, plain, part.values)):
        slower = [fit_learned(part, quick[1], max_order=max_order), fit_pursuit(part, max_order=max_order)]
        with_gradients = stack([process, *quick, *slower], part.values)
        plain = stack([*quick, *slower], part.values)
    chosen = with_gradients if clearly_better(with_gradients, plain, part.values) else plain
    return screen.whole(chosen)


def fit_auto(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """The exact transform where every mask is there without noise, else all that values and gradients say."""
    complete = fit_complete(samples) if max_order is None or max_order >= samples.n_players else None
    return complete or fit_with_gradients(samples, max_order=max_order)
