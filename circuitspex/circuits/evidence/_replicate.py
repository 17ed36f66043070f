"""Interactions measured until they are known well enough, and corrected for how many were tested.

The strongest decoded sets are measured by paired ablations (``measure.py``). Where an interval is still wide, more
contexts are added; how wide decides, never whether zero is inside, so that the intervals stay honest. What counts as a
discovery is then decided by Benjamini and Hochberg's step-up rule over all sets that were measured together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from circuitspex.by_value import by_value
from circuitspex.circuits.circuit import Combination, Estimate
from circuitspex.circuits.evidence._measure import PerPromptGame, measure_cells
from circuitspex.circuits.relation import PairEffects, relate
from circuitspex.errors import UserError
from circuitspex.statistics import RATE as RATE
from circuitspex.statistics import equivalent, half_width, moments, p_value, small_beside, t_interval
from circuitspex.typing import FloatArray, Masks, Term


@by_value
@dataclass(frozen=True)
class Measured:
    """One set: its |S|-fold difference by context and prompt ``(C, P)``, and the metric of each combination.

    ``cells`` ``(2^|S|, C, P)`` are in the order of ``itertools.product((False, True), repeat=|S|)``, False = ablated.
    ``exact`` where the contexts are all there are, once each: then only prompts are a sample, and with one prompt
    nothing is. ``same`` where there was a single context for all of them: how much the difference varies is not known.
    """

    members: Term
    differences: FloatArray
    cells: FloatArray
    exact: bool = False
    same: bool = False

    @property
    def n_contexts(self) -> int:
        """In how many contexts it was switched."""
        return len(self.differences)

    @property
    def per_prompt(self) -> tuple[float, ...]:
        """The mean over contexts, for each prompt."""
        return tuple(float(value) for value in self.differences.mean(0))

    @property
    def table(self) -> tuple[Combination, ...]:
        """The mean metric of each combination over contexts and prompts."""
        return combinations_of(self.cells.mean((1, 2)))

    def relation(self, names: Sequence[str], least: float = 0.0) -> PairEffects | None:
        """What two components do to each other; None for other sets, and where there was a single context for all.

        Effects of at most ``least`` are rounding.
        """
        if len(self.members) != 2 or (self.same and not self.exact):
            return None
        return relate(names, self.cells, self._moments, least)

    def split(self, n_parts: int) -> list[Measured]:
        """One for each of the games whose prompts stand side by side in the columns."""
        if n_parts == 1:
            return [self]
        parts = zip(np.split(self.differences, n_parts, axis=1), np.split(self.cells, n_parts, axis=2), strict=True)
        return [Measured(self.members, part, cells, self.exact, self.same) for part, cells in parts]

    def _moments(self, numbers: FloatArray) -> tuple[float, float, float]:
        """The mean of numbers ``(C, P)``, its standard error and the degrees of freedom of that."""
        if not self.exact:
            return moments(numbers)
        means = numbers.mean(0, keepdims=True)
        return moments(means) if means.shape[1] > 1 else (float(means[0, 0]), 0.0, 1.0)

    @property
    def width(self) -> float:
        """Half the width of the 95 % interval, as far as contexts are to blame and not prompts."""
        if self.exact:
            return 0.0
        means = self.differences.mean(1)
        return half_width(float(means.std(ddof=1)) / len(means) ** 0.5, len(means) - 1)

    def estimate(self, confidence: float = 0.95) -> Estimate:
        """The mean with its interval over contexts and prompts."""
        return t_interval(*self._moments(self.differences), confidence)

    def p_value(self, least: float = 0.0, sign: float = 0.0) -> float:
        """How likely a mean so far from zero is if the truth lies within ``least`` of it: ``statistics.p_value``.

        It is 1 where there was a single context: nothing shows how much the difference varies.
        """
        if self.same and not self.exact:
            return 1.0
        return p_value(*self._moments(self.differences), least=least, sign=sign)

    def is_near_zero(self, margin: float, other: Measured, share: float | None) -> bool:
        """Whether the effect is certain to be within a margin of zero, or within a share of another one's size.

        Certain at 5 % by equivalence tests (``statistics.equivalent``, ``small_beside``); without a ``share`` only the
        margin counts.
        """
        if self.same and not self.exact:
            return False
        if equivalent(*self._moments(self.differences), margin):
            return True
        return share is not None and small_beside(self.differences, other.differences, share=share, of=self._moments)


def replicate(
    evaluate: PerPromptGame,
    sets: Sequence[Term],
    contexts: Masks,
    *,
    start: int | None = None,
    precision: float = 0.0,
    n_parts: int = 1,
    uniform: bool = False,
) -> dict[Term, Measured]:
    """Measure sets in contexts, in more of them where the interval is still wide.

    Args:
        evaluate: masks ``(K, n)`` in, the metric ``(K, P)`` out.
        sets: component indices of each set.
        contexts: bool ``(C, n)``, the random masks around which sets are switched; at most these are used.
        start: with how many of them to begin; by default all are used at once.
        precision: a set gets as many contexts again, until contexts widen its 95 % interval by at most this to either
            side, as a share of the largest measured effect, or are used up. How much the effect differs between prompts
            does not count: more contexts don't help there.
        n_parts: the columns of ``evaluate`` are so many games of as many prompts each, measured in the same contexts;
            the widest of their intervals decides.
        uniform: the contexts are masks that keep half of the components, so that all contexts of a set count the same:
            where all of them were run, the mean is taken over each once and is exact.

    Raises:
        UserError: fewer than two contexts to start with, or as in ``measure``.
    """
    size = len(contexts) if start is None else start
    if not 2 <= size <= len(contexts):
        raise UserError(f"measuring starts with 2 to {len(contexts)} contexts here, not {size}")
    parts: dict[Term, list[FloatArray]] = {tuple(members): [] for members in sets}
    cells: dict[Term, list[FloatArray]] = {members: [] for members in parts}
    wanted, first = list(parts), 0
    while wanted and first < size:
        found, tables = measure_cells(evaluate, wanted, contexts[first:size])
        for members in wanted:
            parts[members].append(found[members])
            cells[members].append(tables[members])
        so_far = {members: _measured(members, parts[members], cells[members], contexts, uniform) for members in parts}
        largest = max(abs(float(part.differences.mean())) for each in so_far.values() for part in each.split(n_parts))
        wide = [
            members
            for members in wanted
            if max(part.width for part in so_far[members].split(n_parts)) > precision * largest
        ]
        wanted = wide if precision > 0 else []
        first, size = size, min(2 * size, len(contexts))
    return {members: _measured(members, parts[members], cells[members], contexts, uniform) for members in parts}


def combinations_of(values: Iterable[float]) -> tuple[Combination, ...]:
    """The values of all on/off combinations, in the order of ``itertools.product((False, True), …)``."""
    means = [float(value) for value in values]
    kept = product((False, True), repeat=len(means).bit_length() - 1)
    return tuple(Combination(each, value) for each, value in zip(kept, means, strict=True))


def _measured(
    members: Term, parts: list[FloatArray], cells: list[FloatArray], contexts: Masks, uniform: bool
) -> Measured:
    differences, under = np.concatenate(parts), np.concatenate(cells, axis=1)
    others = np.delete(contexts[: len(differences)], list(members), axis=1)
    n_others = others.shape[1]
    first = np.unique(others, axis=0, return_index=True)[1] if n_others else np.zeros(1, dtype=np.int64)
    # Where there are no others, the one context is all there is, whatever share the masks keep.
    exact = n_others == 0 or (uniform and n_others < 63 and len(first) == 2**n_others)
    if exact:
        once = np.sort(first)
        differences, under = differences[once], under[:, once]
    return Measured(members, differences, under, exact, len(first) == 1)
