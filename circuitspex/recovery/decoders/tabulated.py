"""Games in which only some of the components do anything: which these are can often be read off the masks.

Where masks that agree on a few components have the same value, whatever the others are (the function is a *junta* of
those few: Mossel, O'Donnell, Servedio, 'Learning juntas', 2003), the others are left out, and what is decoded is a
table over the few: values that were seen stay as they are, and the decoders say the rest. Compiled programs, rules, and
small models with parts that never act are so. In language models each part does a little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np
from scipy.special import gammaln

from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.decoders.exact import function_of_table
from circuitspex.recovery.samples import Fitted, Samples
from circuitspex.typing import FloatArray, IntArray

# Values are the same where they differ by at most so much of their range: rounding in single precision.
_SAME = 1e-4
MOST_PLAYERS, _MOST_MEMBERS = 16, 10
# So many numbers are sorted at most, a fraction of a second; larger sets are not tried then.
_MOST_SORTED = 2_000_000
# What the values of masks that agree say more than once, in nats, must be so many times what naming the set takes.
_TIMES, _BEYOND = 2.0, 10.0
# And so many nats more than the choice among all sets of its size must speak for each component. In random games with
# rare events (an AND of five beside main effects), components that fit by chance have up to 2, others from 4 on.
_EACH = 4.0
# Where far more are kept, or ablated, most of the table is never seen, and sets that are wrong go unnoticed.
_UNEVEN = 0.3


def fit_tabulated(
    samples: Samples, columns: IntArray, fit: Callable[[Samples], Fitted], usual: Callable[[], Fitted]
) -> Fitted:
    """A table over the components that do something (``columns``, from ``members_of``), its gaps filled by ``fit``.

    ``fit`` is given each cell of the table once, so that its folds say how well it fills gaps; folds of masks would
    not, where most of those that are left out are of a cell that others show. Out of fold a mask is predicted without
    its fold: which components do something is asked again there, and where the answer is another one, the ``usual`` fit
    without this fold is what predicts. Standard errors, from the tables without each fold, are those given that these
    components do something.
    """
    code = _codes(samples.x[:, columns])
    cells, first, group = np.unique(code, return_index=True, return_inverse=True)
    gradients = samples.sign_gradients
    part = Samples.check(
        samples.x[np.ix_(first, columns)] > 0,
        _mean(samples.values, group, len(cells)),
        None if gradients is None else 2 * gradients[np.ix_(first, columns)],
        samples.seed,
        keep=samples.keep,
    )
    filling = fit(part)
    every = np.where(np.arange(2 ** len(columns))[:, None] >> np.arange(len(columns)) & 1, -1.0, 1.0)
    whole = filling.function.predict(every)
    whole[cells] = part.values

    def without(fold: int) -> Polynomial:
        out = filling.without_fold[fold % len(filling.without_fold)].predict(every)
        out[cells] = filling.out_of_fold
        left = np.unique(group[samples.fold != fold])
        out[cells[left]] = part.values[left]
        return function_of_table(out).renamed(columns)

    def is_found(fold: int) -> bool:
        again = members_of(samples.without(fold))
        return again is not None and again.tolist() == columns.tolist()

    tables = tuple(without(fold) for fold in samples.folds)
    lost = [fold for fold in samples.folds if not is_found(fold)]
    others = usual().without_fold if lost else tables
    honest = [(others if fold in lost else tables)[fold] for fold in samples.folds]
    out_of_fold = samples.out_of_fold(each.predict for each in honest)
    return Fitted(function_of_table(whole).renamed(columns), tables, out_of_fold)


def members_of(samples: Samples) -> IntArray | None:
    """The smallest set of components that the values depend on, ascending; None where it is not known, or all are."""
    n, n_masks = samples.n_players, len(samples.values)
    if n > MOST_PLAYERS or n_masks < 8 or abs(samples.keep - 0.5) > _UNEVEN:
        return None
    codes, values, same = _distinct(samples)
    spread = float(np.ptp(values))
    if spread == 0 or not same:
        return None
    needed = _needed(codes, values, n, _SAME * spread)
    others = [i for i in range(n) if i not in needed]
    done = 0
    for size in range(max(1, len(needed)), min(n - 1, _MOST_MEMBERS) + 1):
        sets = [(*needed, *each) for each in combinations(others, size - len(needed))]
        done += len(sets) * len(codes)
        if done > _MOST_SORTED:
            return None
        found = [chosen for chosen in sets if _is_decided(codes, values, chosen, _SAME * spread)]
        if found:  # of several no one is known to be right
            known = len(found) == 1 and _is_no_chance(codes, values, found[0], needed, n)
            return np.array(sorted(found[0])) if known else None
    return None


def _distinct(samples: Samples) -> tuple[IntArray, FloatArray, bool]:
    """Each mask once as a number, the mean of its values, and whether these are the same."""
    codes, group = np.unique(_codes(samples.x), return_inverse=True)
    means = _mean(samples.values, group, len(codes))
    same = np.abs(samples.values - means[group]).max() <= _SAME * float(np.ptp(samples.values))
    return codes, means, bool(same)


def _needed(codes: IntArray, values: FloatArray, n: int, most: float) -> tuple[int, ...]:
    """The components that alone make a difference between two masks."""
    out = []
    for i in range(n):
        _, one, other = np.intersect1d(codes, codes ^ (1 << i), return_indices=True)
        if (np.abs(values[one] - values[other]) > most).any():
            out.append(i)
    return tuple(out)


def _is_decided(codes: IntArray, values: FloatArray, chosen: tuple[int, ...], most: float) -> bool:
    """Whether masks that agree on the chosen components have the same value."""
    cells = codes & _bits(chosen)
    order = cells.argsort()
    agree = cells[order[1:]] == cells[order[:-1]]
    return bool((np.abs(np.diff(values[order])[agree]) <= most).all())


def _is_no_chance(
    codes: IntArray, values: FloatArray, chosen: tuple[int, ...], needed: tuple[int, ...], n: int
) -> bool:
    """Whether masks that agree repeat far more than it takes to say which components these are, and each is needed.

    A component that makes a difference on its own is. For any other, what counts is how surprising the order of values
    would be within cells that are not told apart by it: strong components say nothing of the weak ones.
    """
    levels = np.round((values - values.min()) / float(np.ptp(values)) / _SAME)
    repeated = len(codes) - len(np.unique(codes & _bits(chosen)))
    _, counts = np.unique(levels, return_counts=True)
    each = -float((counts / len(values) * np.log(counts / len(values))).sum())
    if repeated * each <= _TIMES * (math.log(n) + math.log(math.comb(n, len(chosen)))) + _BEYOND:
        return False
    choices = math.log(math.comb(n - len(needed), len(chosen) - len(needed)))
    for i in set(chosen).difference(needed):
        cells = codes & (_bits(chosen) - (1 << i))
        _, together = np.unique(cells, return_counts=True)
        _, alike = np.unique(np.stack([cells, levels]), axis=1, return_counts=True)
        if float(gammaln(together + 1).sum() - gammaln(alike + 1).sum()) < choices + _EACH:
            return False
    return True


def _bits(members: Iterable[int]) -> int:
    return sum(1 << i for i in members)


def _codes(x: FloatArray) -> IntArray:
    """Each row of signs as a number; bit i says that component i is ablated."""
    return np.asarray((x < 0) @ (1 << np.arange(x.shape[1])))


def _mean(values: FloatArray, group: IntArray, n_groups: int) -> FloatArray:
    return np.bincount(group, weights=values, minlength=n_groups) / np.bincount(group, minlength=n_groups)
