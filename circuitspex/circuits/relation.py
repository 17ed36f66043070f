"""What two components do to each other, in words that their measured 2x2 table bears out.

With ``f(i, j)`` the metric with i and j kept (1) or ablated (0), each component of a pair has an effect while the other
is ablated, and one while it is kept:

    a0 = f(1, 0) - f(0, 0),  a1 = f(1, 1) - f(0, 1)    what i does without j, and with it
    b0 = f(0, 1) - f(0, 0),  b1 = f(1, 1) - f(1, 0)    what j does without i, and with it

and ``I = a1 - a0 = b1 - b0`` is the interaction. An effect *grows* with the other where it is larger in size with it,
that is where its mean ``(a0 + a1) / 2`` has the sign of I; it *shrinks* where it has the other sign. ``RELATIONS`` says
which word stands for what, and ``relate`` takes the first one whose condition is certain at 95 %. All of them are means
of numbers measured in the same contexts on the same prompts, so each condition is a t test of its own.

An effect that is certain to be less than ``SMALLEST_SHARE`` of another's size is *none* beside it. So an effect that
shrinks to nothing has not changed its sign, whatever the sign of what little is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from circuitspex.statistics import SMALLEST_SHARE, Estimate, moments, p_value, small_beside, t_interval
from circuitspex.typing import FloatArray

Word = Literal[
    "no interaction claimed",
    "reverses",
    "opposes",
    "needs",
    "strengthens",
    "backs up",
    "positive interaction",
    "negative interaction",
]
Moments = Callable[[FloatArray], tuple[float, float, float]]
"""The mean of numbers ``(C, P)``, its standard error, and the degrees of freedom of that: ``statistics.moments``."""

LEVEL = 0.05
"""Each condition holds where it is certain at 95 %."""


@dataclass(frozen=True)
class Definition:
    """One word: when it stands, and the sentence that says it.

    ``one`` is the sentence where one component does it to the other, ``both`` where each does it to the other, or
    where it is about both. ``short`` is what stands beside the names of a pair where it is about both.
    """

    word: Word
    condition: str
    both: str
    short: str
    one: str = ""


RELATIONS: dict[Word, Definition] = {
    each.word: each
    for each in (
        Definition(
            "no interaction claimed",
            "the interval of I holds 0",
            "no interaction of {all} is claimed",
            "no interaction claimed",
        ),
        Definition(
            "reverses",
            "j reverses i: a0 and a1 are of opposite sign, and the smaller one is more than none beside the other",
            "{i} and {j} reverse each other",
            "reverse each other",
            "{i} reverses {j}",
        ),
        Definition(
            "opposes",
            "i opposes j: i's effect grows with j, j's shrinks with i, so that the larger ones are of opposite sign; "
            "neither changes its sign",
            "",
            "",
            "{i} opposes {j}",
        ),
        Definition(
            "needs",
            "i needs j: both effects grow, neither changes its sign, and a0 is none beside a1",
            "{i} and {j} need each other",
            "need each other",
            "{i} needs {j}",
        ),
        Definition(
            "strengthens",
            "both effects grow, neither changes its sign",
            "{i} and {j} strengthen each other",
            "strengthen each other",
        ),
        Definition(
            "backs up",
            "both effects shrink, neither changes its sign",
            "{i} and {j} back each other up",
            "back each other up",
        ),
        Definition(
            "positive interaction",
            "anything else with I above 0; all sets of three and more, and pairs whose table is not known",
            "positive interaction of {all}",
            "positive interaction",
        ),
        Definition(
            "negative interaction",
            "anything else with I below 0; all sets of three and more, and pairs whose table is not known",
            "negative interaction of {all}",
            "negative interaction",
        ),
    )
}
"""The words, in the order in which their conditions are tried; every drawing, page, table and file takes them here."""


@dataclass(frozen=True)
class Relation:
    """A word of ``RELATIONS``; ``source`` does it to ``target``, both None where it is about all components alike."""

    word: Word
    source: str | None = None
    target: str | None = None

    def sentence(self, components: Sequence[str]) -> str:
        """The relation in words: 'L29H0 opposes L23H3', 'L0H1 and L2H0 back each other up'."""
        definition, names = RELATIONS[self.word], list(components)
        if self.source is not None and self.target is not None:
            return definition.one.format(i=self.source, j=self.target)
        return definition.both.format(i=names[0], j=names[-1], all=", ".join(names[:-1]) + f" and {names[-1]}")

    @property
    def short(self) -> str:
        """The same where the components stand beside it: 'L29H0 opposes L23H3', 'back each other up'."""
        return RELATIONS[self.word].short if self.source is None else self.sentence(())

    @property
    def is_claimed(self) -> bool:
        """Whether it says that there is an interaction."""
        return self.word != "no interaction claimed"


def by_sign(effect: float, measured: Estimate | None = None) -> Relation:
    """The relation of a set of which only the effect is known: its sign, where it has one for certain."""
    if measured is not None and not measured.excludes_zero:
        return Relation("no interaction claimed")
    return Relation("negative interaction" if effect < 0 else "positive interaction")


@dataclass(frozen=True)
class Conditional:
    """What one component of a pair does to the metric while the ``other`` is ablated, and while it is kept."""

    component: str
    other: str
    ablated: Estimate
    kept: Estimate


@dataclass(frozen=True)
class PairEffects:
    """What is known of a pair beside its interaction: its relation, and the effects on which that rests."""

    relation: Relation
    conditional: tuple[Conditional, Conditional]


def relate(names: Sequence[str], cells: FloatArray, of: Moments = moments, least: float = 0.0) -> PairEffects:
    """The relation of two components, and their conditional effects.

    Args:
        names: of the two, i and j.
        cells: the metric ``(4, C, P)`` with both ablated, only j kept, only i kept, both kept; in each context, on each
            prompt.
        of: how numbers ``(C, P)`` become a mean with its error; another than ``moments`` where contexts are no sample.
        least: a mean of at most this size may be nothing but rounding, and has no sign.
    """

    def known(numbers: FloatArray) -> tuple[float, float, float]:
        mean, error, freedom = of(numbers)
        return (0.0, 0.0, 1.0) if abs(mean) <= least else (mean, error, freedom)

    i, j = names
    neither, only_j, only_i, both = cells
    effects = (_Effect(only_i - neither, both - only_j, known), _Effect(only_j - neither, both - only_i, known))
    conditional = tuple(
        Conditional(name, other, t_interval(*of(effect.ablated)), t_interval(*of(effect.kept)))
        for name, other, effect in ((i, j, effects[0]), (j, i, effects[1]))
    )
    return PairEffects(_relation((i, j), *effects), (conditional[0], conditional[1]))


@dataclass(frozen=True)
class _Effect:
    """The effect ``(C, P)`` of one component while the other is ablated, and while it is kept."""

    ablated: FloatArray
    kept: FloatArray
    of: Moments

    @property
    def interaction(self) -> Estimate:
        return t_interval(*self.of(self.kept - self.ablated))

    def change(self, sign: float) -> int:
        """1 where it is certain to grow with the other, -1 where to shrink, 0 where it is not certain."""
        mean = t_interval(*self.of(self.kept + self.ablated))
        return 0 if not mean.excludes_zero else 1 if mean.value * sign > 0 else -1

    @property
    def turn(self) -> int:
        """-1 where it is certain to change its sign, and to more than none; 1 where it is certain not to; else 0.

        The sum of the smaller of the two and the share of the larger one that counts as none has the larger one's sign,
        unless the smaller one is of opposite sign and more than none. That it has that sign is tested on one side, as
        in the equivalence test of which this is a half.
        """
        smaller, larger = sorted((self.ablated, self.kept), key=lambda part: abs(float(part.mean())))
        largest, margin = t_interval(*self.of(larger)), self.of(smaller + SMALLEST_SHARE * larger)
        if not largest.excludes_zero:
            return 0
        if p_value(*margin, sign=largest.value) <= LEVEL:
            return 1
        return -1 if t_interval(*margin).excludes_zero else 0

    @property
    def is_none_without(self) -> bool:
        """Whether it is certain to be none while the other is ablated, beside what it is while that is kept."""
        return small_beside(self.ablated, self.kept, of=self.of, level=LEVEL)


def _relation(names: tuple[str, str], a: _Effect, b: _Effect) -> Relation:
    """The first word whose condition is certain."""
    (i, j), found = names, a.interaction
    if not found.excludes_zero:
        return Relation("no interaction claimed")
    turns = a.turn, b.turn
    if -1 in turns:
        return _directed("reverses", (j, i) if turns[0] == -1 else (i, j), both=turns == (-1, -1))
    changes = a.change(found.value), b.change(found.value)
    if turns == (1, 1):
        if changes in ((1, -1), (-1, 1)):
            return _directed("opposes", (i, j) if changes[0] == 1 else (j, i))
        if changes == (1, 1):
            needs = a.is_none_without, b.is_none_without
            if any(needs):
                return _directed("needs", (i, j) if needs[0] else (j, i), both=all(needs))
            return Relation("strengthens")
        if changes == (-1, -1):
            return Relation("backs up")
    return by_sign(found.value)


def _directed(word: Word, ends: tuple[str, str], *, both: bool = False) -> Relation:
    return Relation(word) if both else Relation(word, *ends)
