"""Games in which only some of the components do anything: which these are can often be read off the masks.

Where masks that agree on a few components have the same value, whatever the others are (the function is a *junta* of
those few: Mossel, O'Donnell, Servedio, 'Learning juntas', 2003), the others are left out, and what is decoded is a
table over the few: values that were seen stay as they are, and the decoders say the rest. Compiled programs, rules, and
small models with parts that never act are so. In language models each part does a little.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np

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


def fit_tabulated(samples: Samples, fit: Callable[[Samples], Fitted]) -> Fitted | None:
    """A table over the components that do something, its gaps filled by ``fit``; None where all may do something.

    ``fit`` is given each cell of the table once, so that its folds say how well it fills gaps: a cell that only one
    mask shows is predicted, out of fold, by a fit that was not given this cell. Other masks are predicted without their
    own value alone, and not without a whole fold: a new mask would find all others in the table.
    """
    columns = members_of(samples)
    if columns is None:
        return None
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

    def table(fold: int | None) -> FloatArray:
        if fold is None:
            out = filling.function.predict(every)
            out[cells] = part.values
            return out
        out = filling.without_fold[fold % len(filling.without_fold)].predict(every)
        out[cells] = filling.out_of_fold
        left = np.unique(group[samples.fold != fold])
        out[cells[left]] = part.values[left]
        return out

    without = [table(fold) for fold in samples.folds]
    shown_by = np.bincount(_cells_of_distinct(samples, group), minlength=len(cells))
    out_of_fold = np.where(shown_by[group] > 1, part.values[group], filling.out_of_fold[group])
    function, *others = (function_of_table(each).renamed(columns) for each in (table(None), *without))
    return Fitted(function, tuple(others), out_of_fold)


def _cells_of_distinct(samples: Samples, group: IntArray) -> IntArray:
    """The cell of each mask, copies counted once."""
    _, first = np.unique(_codes(samples.x), return_index=True)
    return group[first]


def members_of(samples: Samples) -> IntArray | None:
    """The smallest set of components that the values depend on, ascending; None where it is not known, or all are."""
    n, n_masks = samples.n_players, len(samples.values)
    if n > MOST_PLAYERS or n_masks < 8:
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
            return np.array(sorted(found[0])) if len(found) == 1 and _is_no_chance(codes, values, found[0], n) else None
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
    cells = codes & sum(1 << i for i in chosen)
    order = cells.argsort()
    agree = cells[order[1:]] == cells[order[:-1]]
    return bool((np.abs(np.diff(values[order])[agree]) <= most).all())


def _is_no_chance(codes: IntArray, values: FloatArray, chosen: tuple[int, ...], n: int) -> bool:
    """Whether what masks that agree repeat is far more than it takes to say which components these are."""
    repeated = len(codes) - len(np.unique(codes & sum(1 << i for i in chosen)))
    _, counts = np.unique(np.round((values - values.min()) / float(np.ptp(values)), 4), return_counts=True)
    shares = counts / len(values)
    each = -float((shares * np.log(shares)).sum())
    said = math.log(n) + math.log(math.comb(n, len(chosen)))
    return repeated * each > _TIMES * said + _BEYOND


def _codes(x: FloatArray) -> IntArray:
    """Each row of signs as a number; bit i says that component i is ablated."""
    return np.asarray((x < 0) @ (1 << np.arange(x.shape[1])))


def _mean(values: FloatArray, group: IntArray, n_groups: int) -> FloatArray:
    return np.bincount(group, weights=values, minlength=n_groups) / np.bincount(group, minlength=n_groups)
