"""The rules by which a head is given a word for what it does: conditions on measured numbers, all with their intervals.

A rule fits where every one of its conditions holds at the unfavourable end of its number's interval. Its margin is the
smallest share by which a threshold is passed there. Of several that fit, a rule gives way to those that say more
(``gives_way_to``); if two are left, the one with the larger margin is the role if its margin is at least
``CLEARLY`` times the other's, else none is clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

from circuitspex.circuits.about import About, Breakdown, Role
from circuitspex.circuits.roles.measures import MEASURES, Reading
from circuitspex.statistics import Estimate

CLEARLY = 2.0
"""How many times the margin of the next rule that fits that of a clear role is, at least."""

LOOKS = 0.3
"""The share of attention, beyond chance, from which on a head attends to something."""
WRITES = 0.05
"""The share of the logit difference from which on a head writes it itself."""
COPIES = 2.0
"""Standard deviations over the vocabulary: of a normal distribution one in twenty is as far off."""
PASSES = 0.3
"""The share of a head's effect that passes through one later query, from which on it works in that way."""
NEAR = 0.5
"""A rule that fails at one condition is named as the nearest where it fails by at most this share of the threshold."""


@dataclass(frozen=True)
class Condition:
    """A measure that must be at least a threshold (or at most, where ``at_most``); no threshold is 0."""

    measure: str
    threshold: float
    at_most: bool = False

    def margin(self, value: Estimate) -> float:
        """By which share of the threshold the unfavourable end passes it; below 0 where it does not."""
        passed = self.threshold - value.high if self.at_most else value.low - self.threshold
        return passed / abs(self.threshold) if isfinite(passed) else -inf

    def __str__(self) -> str:
        return f"{self.measure} {'≤' if self.at_most else '≥'} {self.threshold:g}"


@dataclass(frozen=True)
class Rule:
    """A word of ``ROLES``, what must hold for it, and the words that say more where both fit.

    ``shown`` are measures that decide nothing, and are among the evidence where they are ``LOOKS`` or more.
    """

    word: str
    conditions: tuple[Condition, ...]
    gives_way_to: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


RULES: tuple[Rule, ...] = (
    Rule(
        "copy suppression",
        (
            Condition("copying", -COPIES, at_most=True),
            Condition("random: copying", -COPIES, at_most=True),
            Condition("size of the direct share", WRITES),
        ),
        shown=("attention to the answer", "attention to the wrong answer"),
    ),
    Rule(
        "negative mover",
        (
            Condition("attention to the answer", LOOKS),
            Condition("copying", -COPIES, at_most=True),
            Condition("direct share", -WRITES, at_most=True),
        ),
        gives_way_to=("copy suppression",),
    ),
    Rule(
        "answer mover",
        (Condition("attention to the answer", LOOKS), Condition("copying", COPIES), Condition("direct share", WRITES)),
        gives_way_to=("induction",),
    ),
    Rule(
        "inhibition",
        (
            Condition("attention to the wrong answer", LOOKS),
            Condition("share by one query", PASSES),
            Condition("beside that query", 0.5, at_most=True),
            Condition("size of the direct share", WRITES, at_most=True),
        ),
    ),
    Rule(
        "induction",
        (Condition("random: after the same token", LOOKS), Condition("attention after the same token", LOOKS)),
        gives_way_to=("copy suppression", "negative mover"),
    ),
    Rule("duplicate token", (Condition("random: same token", LOOKS), Condition("attention to the same token", LOOKS))),
    Rule(
        "previous token",
        (Condition("random: previous token", LOOKS), Condition("attention to the previous token", LOOKS)),
    ),
    Rule(
        "sink",
        (Condition("random: first token", 2 * LOOKS), Condition("attention to the first token", 2 * LOOKS)),
        gives_way_to=(
            "copy suppression",
            "negative mover",
            "answer mover",
            "inhibition",
            "induction",
            "duplicate token",
            "previous token",
        ),
    ),
)
"""One rule for each word, in the order of the documentation."""


@dataclass(frozen=True)
class _Fit:
    """A rule beside a component: its readings and their margins, condition by condition."""

    rule: Rule
    readings: tuple[Reading, ...]
    margins: tuple[float, ...]
    shown: tuple[Reading, ...] = ()

    @property
    def margin(self) -> float:
        return min(self.margins)


def role_of(about: About, breakdown: Breakdown | None = None, rules: Sequence[Rule] = RULES) -> Role:
    """The word for what a head does, with its margin and the numbers that decided, or ``NO_ROLE``.

    A component of another kind has no role; a rule that asks for what was not measured does not fit. Where no rule fits
    but for one condition, the evidence says which came nearest, and what is missing.

    Args:
        about: what was measured of the component.
        breakdown: the logit difference as a sum, which what is written is a share of.
        rules: those to go by.
    """
    if about.kind != "head":
        return Role()
    read = {name: measure.read(about, breakdown) for name, measure in MEASURES.items()}
    fits = []
    for rule in rules:
        readings = [read[condition.measure] for condition in rule.conditions]
        known = tuple(reading for reading in readings if reading is not None)
        if len(known) == len(readings):
            margins = zip(rule.conditions, known, strict=True)
            shown = [one for name in rule.shown if (one := read[name]) is not None and one.value.value >= LOOKS]
            fits.append(
                _Fit(rule, known, tuple(condition.margin(one.value) for condition, one in margins), tuple(shown))
            )
    fitting = {fit.rule.word: fit for fit in fits if fit.margin >= 0}
    left = [fit for fit in fitting.values() if not fitting.keys() & set(fit.rule.gives_way_to)]
    left.sort(key=lambda fit: -fit.margin)
    if not left:
        return Role(evidence=_nearest(fits))
    if len(left) > 1 and left[0].margin < CLEARLY * left[1].margin:
        both = f"{left[0].rule.word} and {left[1].rule.word} fit about equally"
        return Role(evidence=(both, *_words(left[0]), *_words(left[1])))
    return Role(left[0].rule.word, left[0].margin, _words(left[0]))


def _words(fit: _Fit) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reading.words for reading in (*fit.shown, *fit.readings)))


def _nearest(fits: Sequence[_Fit]) -> tuple[str, ...]:
    """Of the rules that fail at one condition only, the one that fails by least."""
    failing = [fit for fit in fits if sum(margin < 0 for margin in fit.margins) == 1]
    fit = max(failing, key=lambda each: each.margin, default=None)
    if fit is None or fit.margin < -NEAR:
        return ()
    at = fit.margins.index(fit.margin)
    condition, reading = fit.rule.conditions[at], fit.readings[at]
    end = reading.value.high if condition.at_most else reading.value.low
    return (f"nearest to {fit.rule.word}, but {reading.words} ({condition} is asked, and the end is {end:z.2f})",)
