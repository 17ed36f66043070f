"""From a decoder's fit to what a caller gets: names checked, standard errors, the score, and what to warn of."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from circuitspex.checks import check_name_lengths
from circuitspex.errors import UserError
from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.interactions import Interactions
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.r2 import cross_validated_score
from circuitspex.recovery.scoring.standard_errors import fold_errors
from circuitspex.typing import FloatArray

# Below this R² the caller is warned that the result explains too little.
LOW_R2 = 0.5


def interactions_of(
    fitted: Fitted,
    samples: Samples,
    names: tuple[str, ...],
    method: str,
    *,
    n_gradients: int,
    seconds: float,
    errors: FloatArray | None = None,
    unit: float = 1.0,
) -> Interactions:
    """The result of a decoder; its standard errors are those of the jackknife over folds unless they are given.

    Fit and samples are in that unit, the result is not.

    Raises:
        UserError: a number of the result is too large to be one.
    """
    function = fitted.function
    with np.errstate(over="ignore"):
        coefficients = function.coefficients * unit
        errors = (fold_errors(fitted) if errors is None else errors) * unit
    if not (np.isfinite(coefficients).all() and np.isfinite(errors).all()):
        raise UserError(
            "the values are so large that what is decoded from them is no number; divide them by a constant"
        )
    return Interactions(
        function=Polynomial(function.terms, coefficients),
        standard_errors=errors,
        names=names,
        method=method,
        keep=samples.keep,
        n_ablations=len(samples.values),
        n_gradients=n_gradients,
        cross_validated=cross_validated_score(samples.values, fitted.out_of_fold),
        seconds=seconds,
        seed=samples.seed,
    )


def check_names(names: Sequence[str] | None, n_players: int) -> tuple[str, ...]:
    """One name per component, by default its index; UserError where their number is wrong or two are the same."""
    if names is not None and (isinstance(names, str) or not isinstance(names, Iterable)):
        raise UserError(f"names are a list of texts, one a component, not {str(names)[:40]!r}")
    labels = tuple(str(i) for i in range(n_players)) if names is None else tuple(str(name) for name in names)
    if len(labels) != n_players:
        raise UserError(f"{len(labels)} names for {n_players} components")
    if len(set(labels)) != n_players:
        double = next(name for name in labels if labels.count(name) > 1)[:60]
        raise UserError(f"names must differ; '{double}' occurs more than once")
    check_name_lengths(labels)
    return labels


def warn_of_fixed_components(x: FloatArray, names: tuple[str, ...]) -> None:
    """Warn of components whose effect the masks can't show; the warning points at the caller of the caller."""
    for sign, what in ((1.0, "never ablated"), (-1.0, "never kept")):
        fixed = np.flatnonzero((x == sign).all(0))
        if len(fixed):
            some = ", ".join(names[i] for i in fixed[:5]) + (", …" if len(fixed) > 5 else "")
            warnings.warn(
                f"{len(fixed)} of {len(names)} components are {what} in these masks ({some}): "
                "nothing can be said of their effects from the values",
                stacklevel=3,
            )


class LittleExplained(UserWarning):
    """A decoded function explains little; a search says so by its held-out masks instead."""


def remedy(needed: int | None) -> str:
    """What may help where little is explained."""
    advice = (
        f"about {needed} ablations would likely reach {LOW_R2:g}"
        if needed
        else f"the learning curve reaches {LOW_R2:g} at no number of ablations near this"
    )
    return f"{advice}; or keep a larger share of the components"


def warn_of_little(result: Interactions) -> None:
    """Warn where the values do not vary, or where little of them is explained."""
    r2 = result.cross_validated.r2
    if r2 is None:
        warnings.warn("the values are the same under every mask: there is nothing to explain", stacklevel=3)
    elif r2 < LOW_R2:
        message = (
            f"the decoded function explains little: cross-validated R² {r2:z.2f} from {result.n_ablations} ablations; "
            f"{remedy(result.likely_budget)}"
        )
        warnings.warn(message, LittleExplained, stacklevel=3)
