"""Functions that are found whole: a few features explain every value to the last digits, which chance can't do.

Out of fold such a function looks worse than it is: what all masks show, four fifths of them may not (a sum of ten
parities of 32 components is found from 100 masks, and from 80 it is not). So what pursuit chose from all masks is taken
as it is where it is by far the shortest way to say the values (minimum description length, Rissanen 1978): naming the
features costs less than half of what they explain. Ablations of networks are hardly ever so; games by rules, compiled
programs and tests are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.decoders.pursuit import Feature, columns_of, weighted
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.typing import Values

# Of the variance of the values so much may be left: rounding in single precision.
_LEFT = 1e-6
# And of the values of a fold, where the weights are from the others: that many features agree on nearly all masks, as
# they do where most components are kept, must not hide what they do on the others.
_LEFT_OUT = 1e-5
# Explained must be so many times what is said, and so many nats beyond.
_TIMES, _BEYOND = 2.0, 10.0
# Where many more are kept, or ablated, features differ only under masks that are rare: the values that were seen do not
# tell which of them it is, and other decoders do better on those that were not.
_UNEVEN = 0.1
# Of more components, not all pairs are looked through.
_MOST_PLAYERS = 1200


def may_be_solved(samples: Samples) -> bool:
    """Whether it is worth looking: about half of not too many components are kept."""
    return samples.n_players <= _MOST_PLAYERS and len(samples.values) >= 8 and abs(samples.keep - 0.5) <= _UNEVEN


def fit_solved(samples: Samples, features: Sequence[Feature]) -> Fitted | None:
    """The function, where a few features, that pursuit chose from all masks, explain all values; else None.

    What is left out of a fold is predicted by the same features, with weights from the other folds.
    """
    if not features:
        return None
    function = _least_squares(features, samples)
    total = float(((samples.values - samples.values.mean()) ** 2).sum())
    left = float(((samples.values - function.predict(samples.x)) ** 2).sum())
    if total == 0 or left > _LEFT * total or not _is_short(features, samples, left / total):
        return None
    without = [_least_squares(features, samples.without(fold)) for fold in samples.folds]
    out_of_fold = samples.out_of_fold(each.predict for each in without)
    if float(((samples.values - out_of_fold) ** 2).sum()) > _LEFT_OUT * total:
        return None  # a mask was needed for a weight of its own
    return Fitted(function, tuple(without), out_of_fold)


def _least_squares(features: Sequence[Feature], samples: Samples) -> Polynomial:
    columns = np.column_stack([np.ones(len(samples.x)), columns_of(features, samples.x)])
    weights = np.asarray(np.linalg.lstsq(columns, samples.values, rcond=None)[0], dtype=np.float64)
    return weighted(features, weights[1:], float(weights[0]))


def _is_short(features: Sequence[Feature], samples: Samples, left: float) -> bool:
    """Whether naming the features takes far less than the values themselves, in nats."""
    _, first = np.unique(np.packbits(samples.x > 0, axis=1), axis=0, return_index=True)
    values, n_masks, n = samples.values[first], len(first), samples.n_players
    said = (1 + len(features)) * math.log(n_masks)  # the weights
    for feature in features:
        order = len(feature.members)
        signs = 0 if feature.signs is None else order
        said += math.log(math.comb(n, order)) + (signs + 1) * math.log(2) + math.log(order)
    explained = (n_masks - len(features) - 1) / 2 * math.log(1 / max(left, 1e-14))
    return _TIMES * said + _BEYOND < min(explained, _information(values))


def _information(values: Values) -> float:
    """What the values say, in nats: of few different ones their entropy, of others without limit."""
    shown = np.round((values - values.min()) / max(float(np.ptp(values)), 1e-300), 6)
    _, counts = np.unique(shown, return_counts=True)
    if len(counts) > len(values) / 2:
        return math.inf
    shares = counts / len(values)
    return float(-len(values) * (shares * np.log(shares)).sum())
