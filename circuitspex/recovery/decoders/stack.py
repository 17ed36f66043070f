"""Stacking: decoders combined by what each predicts out of fold.

Wolpert, 'Stacked generalization', 1992; with weights that can't be negative, Breiman, 'Stacked regressions', 1996, by
non-negative least squares (Lawson and Hanson 1974). All decoders give sums of parities, so the combination is one too,
exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from circuitspex.recovery.bases.polynomial import Polynomial, combine
from circuitspex.recovery.decoders.exact import fit_complete
from circuitspex.recovery.decoders.gp_relevance import fit_learned
from circuitspex.recovery.decoders.gradspex import fit_gradspex
from circuitspex.recovery.decoders.linear import fit_linear
from circuitspex.recovery.decoders.proxyspex import fit_proxyspex
from circuitspex.recovery.decoders.pursuit import Feature, fit_pursuit, pursued
from circuitspex.recovery.decoders.screen import Screen
from circuitspex.recovery.decoders.solved import fit_solved, may_be_solved
from circuitspex.recovery.decoders.tabulated import fit_tabulated, members_of
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.recovery.scoring.r2 import r_squared
from circuitspex.typing import FloatArray, IntArray, Values


def stack(parts: Sequence[Fitted], values: Values, fold: IntArray, *, lean: float = 0.0) -> Fitted:
    """The non-negative combination, with a constant, that predicts the values best out of fold.

    ``fold`` ``(K,)`` are the folds of the parts. What the combination predicts for a fold has weights from the other
    folds, since weights that had seen its values would make the prediction look better than it is. Free weights differ
    so much from fold to fold that this looks worse than it is, so theirs are the mean of the weights from the other
    folds and from all: in 28 fits to recorded games, of 50 masks each, the estimate of R² was .045 too high with
    weights from all, .073 too low with those from the other folds, and .005 too low with the mean.

    With ``lean`` the first part has weight 1 and the others 0 but for what the values say against it, which is a prior:
    so many times the variance that the best combination misses is the price of a weight that is 1 off. What explains
    the values exactly is taken at no price.
    """
    if len(parts) == 1:
        return parts[0]
    predicted = np.stack([part.out_of_fold for part in parts], axis=1)
    out_of_fold, without = np.empty_like(values), []
    whole = _Mix.of(predicted, values, lean)
    for place in range(len(parts[0].without_fold)):
        out = fold == place
        mix = _Mix.of(predicted[~out], values[~out], lean)
        if not lean:
            mix = _Mix((mix.weights + whole.weights) / 2, (mix.constant + whole.constant) / 2)
        out_of_fold[out] = predicted[out] @ mix.weights + mix.constant
        without.append(mix.function([part.without_fold[place] for part in parts]))
    return Fitted(whole.function([part.function for part in parts]), tuple(without), out_of_fold)


@dataclass(frozen=True)
class _Mix:
    """Weights ``(P,)`` of parts, and a constant."""

    weights: FloatArray
    constant: float

    @classmethod
    def of(cls, predicted: FloatArray, values: Values, lean: float) -> _Mix:
        """The best for predictions ``(K, P)`` of values ``(K,)``."""
        means, mean = predicted.mean(0), float(values.mean())
        rows, wanted = predicted - means, values - mean
        if lean:
            free, _ = nnls(rows, wanted)
            pull = np.sqrt(lean * ((wanted - rows @ free) ** 2).mean()) * np.eye(predicted.shape[1])
            rows, wanted = np.vstack([rows, pull]), np.concatenate([wanted, pull[0]])
        weights, _ = nnls(rows, wanted)
        return cls(weights, mean - float(means @ weights))

    def function(self, functions: Sequence[Polynomial]) -> Polynomial:
        """The combination of the parts' functions."""
        shift = Polynomial.of({(): self.constant})
        return combine([(1.0, shift), *zip(self.weights.tolist(), functions, strict=True)])


def clearly_better(new: Fitted, old: Fitted, values: Values) -> bool:
    """Whether the squared error of ``new`` out of fold is smaller than that of ``old`` by more than one standard error.

    The rule of one standard error (Breiman et al., 'Classification and Regression Trees', 1984): from few masks, a
    decoder that knows nothing can always look a little useful.
    """
    gain = (values - old.out_of_fold) ** 2 - (values - new.out_of_fold) ** 2
    return bool(gain.mean() > gain.std() / np.sqrt(len(values)))


# How much the stack leans on the process. In 56 fits to 14 recorded games: R² .810 (50), .836, .854 (200) where
# free weights give .805, .834, .853; 30 and 300 are within .001 of it.
_LEAN = 100.0
# Of more values the process, which factorises a matrix of all pairs of masks, would take minutes and gigabytes; the
# others have enough of them then.
_MOST_OF_PROCESS = 8000
# Where the decoders with gradients explain nearly all, and so much more than those without, the slower ones of these
# are not tried.
_NEARLY_ALL, _CLEAR_LEAD = 0.8, 0.05


def fit_plain(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """LASSO, trees, the Gaussian process and pursuit, on values alone; pursuit itself where it finds the function."""
    features, solved = _solved(samples, max_order)
    if solved is not None:
        return solved
    linear = fit_linear(samples)
    if max_order == 1:
        return linear
    trees = fit_proxyspex(samples, max_order=max_order)
    slower = _slower(samples, trees, max_order, features)
    return stack([linear, trees, *slower], samples.values, samples.fold)


def fit_with_gradients(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """GradSPEX: the Gaussian process on values and gradients, stacked with decoders that never saw a gradient.

    The process is calibrated by itself, so the stack leans on it: from few masks, weights are mostly chance.

    The stack with gradients is taken only where it is clearly better out of fold than the stack without: gradients must
    not make a result worse. Where there are none, or all are zero, it is the stack without.
    """
    if samples.sign_gradients is None or not samples.sign_gradients.any():
        return fit_plain(samples, max_order=max_order)
    features, solved = _solved(samples, max_order)
    if solved is not None:
        return solved
    screen = Screen.of(samples)
    part = screen.samples
    linear = fit_linear(part)
    quick = [linear] if max_order == 1 else [linear, fit_proxyspex(part, max_order=max_order)]
    process = fit_gradspex(part, max_order=max_order)
    with_gradients = stack([process, *quick], part.values, part.fold, lean=_LEAN)
    plain = stack(quick, part.values, part.fold)
    explained = r_squared(part.values, with_gradients.out_of_fold) or 0
    lead = explained - (r_squared(part.values, plain.out_of_fold) or 0)
    enough = explained > _NEARLY_ALL and lead > _CLEAR_LEAD and clearly_better(with_gradients, plain, part.values)
    if max_order != 1 and not enough:
        slower = _slower(part, quick[1], max_order, features if part is samples else None)
        with_gradients = stack([process, *quick, *slower], part.values, part.fold, lean=_LEAN)
        plain = stack([*quick, *slower], part.values, part.fold)
    chosen = with_gradients if clearly_better(with_gradients, plain, part.values) else plain
    return screen.whole(chosen)


def fit_auto(samples: Samples, *, max_order: int | None = None) -> Fitted:
    """The exact transform where every mask is there without noise, else all that values and gradients say; of a few
    components alone, where the values depend on no others.
    """
    complete = fit_complete(samples) if max_order is None or max_order >= samples.n_players else None
    if complete is not None:
        return complete

    def usual() -> Fitted:
        return fit_with_gradients(samples, max_order=max_order)

    members = members_of(samples) if max_order is None else None
    if members is None:
        return usual()
    _, solved = _solved(samples, max_order)
    return solved or fit_tabulated(samples, members, fit_auto, usual)


def _slower(samples: Samples, trees: Fitted, max_order: int | None, features: list[Feature] | None) -> list[Fitted]:
    """The process, where there are not too many values for it, and pursuit."""
    process = [fit_learned(samples, trees, max_order=max_order)] if len(samples.values) <= _MOST_OF_PROCESS else []
    return [*process, fit_pursuit(samples, max_order=max_order, features=features)]


def _solved(samples: Samples, max_order: int | None) -> tuple[list[Feature] | None, Fitted | None]:
    """What pursuit chooses from all masks, and the function of these, where it explains every value."""
    features = pursued(samples, max_order) if may_be_solved(samples) else None
    return features, None if features is None else fit_solved(samples, features)
