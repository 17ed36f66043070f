"""Games whose answer is known: sparse functions of masks with exact gradients, and slow obvious references."""

from itertools import combinations

import numpy as np

from circuitspex.recovery.bases.indices import WEIGHTS
from circuitspex.recovery.bases.polynomial import Polynomial, spread


def all_masks(n):
    """Every mask of n components, ``(2^n, n)``."""
    return (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1


def random_masks(n_masks, n, keep=0.5, seed=0):
    return np.random.default_rng(seed).random((n_masks, n)) < keep


def value_of(table, mask):
    """A sum of parities at one mask, by its definition."""
    return sum(c * np.prod([1.0 if mask[i] else -1.0 for i in term]) for term, c in table.items())


def values_of(table, masks):
    """A sum of parities at many masks."""
    return Polynomial.of(table).predict(np.where(masks, 1.0, -1.0))


def gradients_of(table, masks):
    """d value / d gate of the multilinear function: twice d value / d sign."""
    x = np.where(masks, 1.0, -1.0)
    out = np.zeros(x.shape)
    for term, c in table.items():
        for i in term:
            out[:, i] += 2 * c * x[:, [j for j in term if j != i]].prod(1)
    return out


def random_table(n, counts=(6, 5, 2), seed=0):
    """Coefficients of so many main effects, pairs and triples, between 0.5 and 1.5 in size, among a few components."""
    rng = np.random.default_rng(seed)
    active = rng.permutation(n)[: min(n, max(counts) + 2)]
    table = {(): float(rng.normal())}
    for order, count in enumerate(counts, start=1):
        subsets = list(combinations(sorted(active.tolist()), order))
        for index in rng.permutation(len(subsets))[:count]:
            table[subsets[index]] = float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.5))
    return table


def r2(values, predicted):
    return 1 - ((values - predicted) ** 2).sum() / ((values - values.mean()) ** 2).sum()


def index_table(mobius, index, order, n):
    """An index of every set of at most ``order`` components, from coefficients of ANDs: their weights as they stand."""
    present = {term: value for term, value in mobius.items() if value != 0}
    return {(): 0.0} | spread(present, lambda t, s: float(WEIGHTS[index.lower()](t, s, order)), order)
