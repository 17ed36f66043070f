"""What the rules of roles hold against their thresholds: numbers of a description, in units that all models share.

Shares of attention are taken beyond chance: 0 is what a head has that attends to all tokens alike, 1 is all attention.
What is written is a share of the logit difference, and copying is in standard deviations over the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

from circuitspex.circuits.about import About, Breakdown, Feed
from circuitspex.statistics import Estimate


@dataclass(frozen=True)
class Reading:
    """One number of a component as a rule takes it, and in words with the units that a reader knows."""

    value: Estimate
    words: str


Read = Callable[[About, Breakdown | None], Reading | None]


@dataclass(frozen=True)
class Measure:
    """A number of a component: what it means in a line, and how it is read; None where it was not measured."""

    meaning: str
    read: Read


def _to_kind(kind: str, what: str) -> Measure:
    """Attention on the task's prompts to tokens of one kind."""

    def read(about: About, breakdown: Breakdown | None) -> Reading | None:
        found = next((each for each in about.looks.kinds if each.name == kind), None) if about.looks else None
        if found is None:
            return None
        return Reading(_beyond(found.value, found.even), f"attention to {what} {_interval(found.value, 2)}")

    return Measure(f"attention to {what}, from where the head matters, beyond chance", read)


def _on_random(field: str, what: str) -> Measure:
    """Attention on random repeated tokens."""

    def read(about: About, breakdown: Breakdown | None) -> Reading | None:
        if about.patterns is None:
            return None
        value: Estimate = getattr(about.patterns, field)
        return Reading(_beyond(value, about.patterns.chance), f"attention to {what} on random tokens {value.value:.2f}")

    return Measure(f"attention to {what} on random repeated tokens, beyond chance", read)


def _first(about: About, breakdown: Breakdown | None) -> Reading | None:
    if about.looks is None:
        return None
    return Reading(about.looks.first, f"attention to the first token {_interval(about.looks.first, 2)}")


def _first_on_random(about: About, breakdown: Breakdown | None) -> Reading | None:
    if about.patterns is None:
        return None
    value = about.patterns.first
    return Reading(value, f"attention to the first of random tokens {value.value:.2f}")


def _direct(about: About, breakdown: Breakdown | None) -> Reading | None:
    if about.writes is None or breakdown is None:
        return None
    share = _ratio(about.writes.direct, breakdown.total)
    if share is None:
        return None
    return Reading(share, f"writes {about.writes.direct:.2f}, {share.value:+.0%} of the logit difference")


def _size_of_direct(about: About, breakdown: Breakdown | None) -> Reading | None:
    found = _direct(about, breakdown)
    return None if found is None else Reading(_size(found.value), found.words)


def _copying(about: About, breakdown: Breakdown | None) -> Reading | None:
    value = None if about.writes is None else about.writes.copying
    return None if value is None else Reading(value, f"copying {value:.1f}")


def _copying_on_random(about: About, breakdown: Breakdown | None) -> Reading | None:
    value = None if about.patterns is None else about.patterns.copying
    return None if value is None else Reading(value, f"copying {value:.1f} on random tokens")


def _by_query(about: About, breakdown: Breakdown | None) -> Reading | None:
    """How much of the effect of the component at its strongest position passes through one later head's query."""
    feed, effects = _strongest_query(about), [at.effect for at in about.where if at.effect is not None]
    if feed is None or feed.query is None or not effects:
        return None
    effect = max(effects, key=lambda each: abs(each.value))
    share = _ratio(_size(feed.query), effect)
    if share is None:
        return None
    words = f"{feed.query:.2f} through the query of {feed.target}, beside its effect {effect.value:+.2f}"
    return Reading(share, words)


def _beside_query(about: About, breakdown: Breakdown | None) -> Reading | None:
    """What enters that head by its keys or its values, the larger, beside what enters by its query."""
    feed = _strongest_query(about)
    if feed is None or feed.query is None or feed.key is None or feed.value is None:
        return None
    share = _ratio(max(_size(feed.key), _size(feed.value), key=lambda each: each.high), _size(feed.query))
    return None if share is None else Reading(share, f"{share.value:.0%} as much through its keys or values")


def _strongest_query(about: About) -> Feed | None:
    """The feed with the most that enters by a query, whichever its sign: what is fed may itself be for or against."""
    fed = [(abs(each.query.value), i) for i, each in enumerate(about.feeds) if each.query is not None]
    return about.feeds[max(fed)[1]] if fed else None


MEASURES: Mapping[str, Measure] = {
    "attention to the answer": _to_kind("answer", "tokens that are the answer"),
    "attention to the wrong answer": _to_kind("wrong answer", "tokens that are the wrong answer"),
    "attention to the previous token": _to_kind("previous token", "the token just before"),
    "attention to the same token": _to_kind("same token", "the same token before"),
    "attention after the same token": _to_kind("after the same token", "what followed the same token"),
    "attention to the first token": Measure(
        "attention to the first token of the prompt, from where the head matters", _first
    ),
    "random: previous token": _on_random("previous_token", "the token just before"),
    "random: same token": _on_random("duplicate_token", "the same token before"),
    "random: after the same token": _on_random("induction", "what followed the same token"),
    "random: first token": Measure("attention to the first token of random repeated tokens", _first_on_random),
    "direct share": Measure("what it writes straight into the logit difference, as a share of that", _direct),
    "size of the direct share": Measure("the same without its sign", _size_of_direct),
    "copying": Measure(
        "how much it raises the logit of what it attends to on the prompts, in standard deviations over the vocabulary",
        _copying,
    ),
    "random: copying": Measure("the same on random tokens, but for the first", _copying_on_random),
    "share by one query": Measure(
        "what passes through the query of the one later head that it feeds most in that way, as a share of its effect "
        "at its strongest position",
        _by_query,
    ),
    "beside that query": Measure(
        "what passes through the keys or values of that head, the larger, as a share of what passes through its query",
        _beside_query,
    ),
}
"""By name, in the order of the documentation."""


def _beyond(value: Estimate, chance: float) -> Estimate:
    """A share of attention so that chance is 0 and all is 1; where chance is all, nothing is beyond it."""
    if chance >= 1:
        return Estimate(0.0, 0.0, 0.0)
    return Estimate(*((each - chance) / (1 - chance) for each in (value.value, value.low, value.high)))


def _ratio(part: Estimate, whole: Estimate) -> Estimate | None:
    """A part in units of the mean of a whole that is certain to be above 0; None where it is not.

    The interval is the part's. Both were measured on the same prompts and vary together, so that an interval of their
    quotient by the ends of both would be far too wide.
    """
    if not (whole.low > 0 and isfinite(whole.value)):
        return None
    return Estimate(*(each / whole.value for each in (part.value, part.low, part.high)))


def _size(value: Estimate) -> Estimate:
    ends = sorted((abs(value.low), abs(value.high)))
    return Estimate(abs(value.value), 0.0 if value.low <= 0 <= value.high else ends[0], ends[1])


def _interval(found: Estimate, places: int) -> str:
    return f"{found.value:z.{places}f} [{found.low:z.{places}f}, {found.high:z.{places}f}]"
