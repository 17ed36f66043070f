"""One kind of prompts or several? A test for splitting prompts, by what is measured on each of them.

Input is a matrix ``(P, T)``: for each prompt the effects of T parts of a circuit, each divided by the error with which
an effect on one prompt is known. What is tested:

1. How strongly a prompt shows the common pattern is no matter of kind: each prompt's share of the mean vector is taken
   out. So a mechanism that is weaker on some prompts is one.
2. The statistic is held out over parts: prompts are split in k by k-means on one half of the parts, and scored by the
   share of the variance of the *other* half that lies between the kinds; the mean over ``HALVES`` random halvings, both
   ways. With prompts of one kind, one half of the parts knows little of the other, or only along a continuum.
3. The null is one normal distribution with the covariance that the prompts have, as in SigClust (Liu, Hayes, Nobel and
   Marron, 'Statistical significance of clustering for high-dimension, low-sample size data', 2008): parts that vary
   together from prompt to prompt are no proof of two kinds. Of several k the one counts whose statistic is highest
   above the null in the null's standard deviations, and the null's samples choose theirs in the same way. The p value
   is the share of them that come as high.
4. A continuum that is spread evenly is no normal distribution either: its halves are 3.5 of their own standard
   deviations apart. So kinds must be ``GAP`` apart, each two of them along the line between their means.

Each of the kinds is tested by itself again, at the level times its share of the prompts (Kimes, Liu, Hayes and Marron,
'Statistical significance for hierarchical clustering', 2017). So of prompts of one kind at most that level is split.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from circuitspex.circuits.evidence.k_means import k_means
from circuitspex.typing import FloatArray, IntArray

HALVES = 6
"""Random halvings of the parts."""
LEAST = 3
"""Fewer prompts are no kind of their own."""
AT_ONCE = 4
"""Into so many kinds prompts are split at once; each of them may be split again."""
LEVEL = 0.05
GAP = 4.0


@dataclass(frozen=True)
class Split:
    """A test whether some prompts are of several kinds.

    ``sides`` are the prompts of each. ``share`` is the held-out share of the variance that lies between them, ``usual``
    what 95 % of the samples of one kind stay below; ``p`` how likely prompts of one kind are as far from it, and
    ``level`` what that must not be above. ``gap`` is how many of their standard deviations the two nearest are apart.
    """

    sides: tuple[tuple[int, ...], ...]
    share: float
    usual: float
    p: float
    level: float
    gap: float

    @property
    def accepted(self) -> bool:
        """Whether the sides are kinds of their own."""
        return self.p <= self.level and self.gap >= GAP and min(map(len, self.sides)) >= LEAST


def kinds(scaled: FloatArray, *, most: int = 6, n_null: int = 99, seed: int = 0) -> tuple[IntArray, tuple[Split, ...]]:
    """The kind of each prompt ``(P,)``, numbered from the one with most prompts on, and the tests that were made.

    Args:
        scaled: effects over their errors, ``(P, T)``.
        most: no more kinds than this.
        n_null: samples of the null for each test.
        seed: of the halvings and the null.
    """
    rng, n_prompts = np.random.default_rng(seed), len(scaled)
    waiting, done, tests = [np.arange(n_prompts)], list[IntArray](), list[Split]()
    while waiting:
        members = waiting.pop(0)
        room = min(AT_ONCE, most - len(done) - len(waiting), len(members) // LEAST)
        level = LEVEL * (len(members) - 1) / max(1, n_prompts - 1)
        test = _test(scaled[members], room, level, n_null, rng) if room > 1 else None
        if test is None:
            done.append(members)
            continue
        sides = [members[list(side)] for side in test.sides]
        named = tuple(tuple(map(int, side)) for side in sides)
        tests.append(Split(named, test.share, test.usual, test.p, test.level, test.gap))
        if test.accepted:
            waiting += sides
        else:
            done.append(members)
    labels = np.zeros(n_prompts, dtype=np.int64)
    for kind, members in enumerate(sorted(done, key=lambda members: (-len(members), int(members[0])))):
        labels[members] = kind
    return labels, tuple(tests)


def _test(scaled: FloatArray, most: int, level: float, n_null: int, rng: np.random.Generator) -> Split | None:
    """The test of one split; None where nothing is left to split by: fewer than two parts, or no variance."""
    rest = without_strength(scaled)
    n_prompts, n_parts = rest.shape
    if n_parts < 2 or not np.any(np.abs(rest) > 1e-9):
        return None
    halves = rng.permuted(np.array([np.arange(n_parts) < n_parts // 2] * HALVES), axis=1)
    drawn = rng.normal(size=(n_null, n_prompts, n_prompts)) @ (rest / (n_prompts - 1) ** 0.5)
    shares = _statistics(np.concatenate([rest[None], drawn]), halves, most)  # by k from 2 on
    above = (shares - shares[1:].mean(0)) / (shares[1:].std(0) + 1e-12)
    k, highest = int(above[0].argmax()), above.max(1)
    p = (1 + int((highest[1:] >= highest[0]).sum())) / (1 + n_null)
    labels = k_means(rest[None], k + 2)[k][0]
    sides = [tuple(map(int, np.flatnonzero(labels == each))) for each in range(k + 2)]
    sides = [side for side in sides if side]
    if len(sides) < 2:
        return None
    return Split(
        tuple(sides), float(shares[0, k]), float(np.quantile(shares[1:, k], 0.95)), p, level, _gap(rest, sides)
    )


def without_strength(scaled: FloatArray) -> FloatArray:
    """The prompts' vectors around their mean, without what lies along the mean: ``(P, T)``."""
    mean = scaled.mean(0)
    centred = scaled - mean
    length = float(np.linalg.norm(mean))
    if length == 0:
        return np.asarray(centred)
    along = mean / length
    return np.asarray(centred - np.outer(centred @ along, along))


def _gap(rest: FloatArray, sides: list[tuple[int, ...]]) -> float:
    """How far the two nearest sides are apart along the line between their means, in standard deviations there."""
    gaps = []
    for one, other in itertools.combinations([rest[list(side)] for side in sides], 2):
        line = one.mean(0) - other.mean(0)
        apart = float(np.linalg.norm(line))
        places = [(each - each.mean(0)) @ (line / (apart or 1.0)) for each in (one, other)]
        freedom = max(1, len(one) + len(other) - 2)
        gaps.append(apart / (float(np.sqrt(sum((each**2).sum() for each in places) / freedom)) or 1e-300))
    return min(gaps)


def _statistics(
    samples: Float[FloatArray, "S P T"], halves: Bool[NDArray[np.bool_], "H T"], most: int
) -> Float[FloatArray, "S K"]:
    """The mean held-out share of the variance between k kinds, over halvings and both ways; k from 2 to ``most``."""
    samples = samples - samples.mean(1, keepdims=True)
    total = np.zeros((len(samples), most - 1))
    for half in halves:
        for way in (half, ~half):
            for place, labels in enumerate(k_means(samples[:, :, way], most)):
                total[:, place] += share_between(samples[:, :, ~way], labels, place + 2)
    return total / (2 * len(halves))


def share_between(samples: Float[FloatArray, "S P T"], labels: Int[IntArray, "S P"], k: int) -> Float[FloatArray, " S"]:
    """The share of the variance of centred samples that lies between the kinds."""
    inside = labels[:, None] == np.arange(k)[:, None]  # (S, k, P)
    counts = inside.sum(2)
    sums = inside.astype(np.float64) @ samples
    between = ((sums**2).sum(2) / np.maximum(counts, 1)).sum(1)
    total = (samples**2).sum((1, 2))
    return np.asarray(np.divide(between, total, out=np.zeros_like(total), where=total > 0))
