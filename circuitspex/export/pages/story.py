"""The story of a described circuit in a few lines: each role, and its components with what shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circuitspex.circuits.about import NO_ROLE, ROLES, About, Feed, Share
from circuitspex.circuits.circuit import Circuit, Estimate
from circuitspex.export.drawing.style import number, percent, reading_order
from circuitspex.export.words.saying import say, say_term

MOST_PHRASES = 2
_NOTABLE = 0.05
"""A share of attention below this is not worth a word."""


@dataclass(frozen=True)
class Actor:
    """A component, and what is said of it in a few words."""

    name: str
    says: str


@dataclass(frozen=True)
class Line:
    """A role: its word in the plural, what it says, and who has it, the largest effect first."""

    word: str
    says: str
    actors: tuple[Actor, ...]


def story(circuit: Circuit, places: int) -> list[Line]:
    """A line for each role that was found, in the order of ``ROLES``, and one for components without a clear role."""
    if circuit.description is None:
        return []
    nodes = {node.name: node for node in circuit.nodes}
    by_word: dict[str, list[About]] = {}
    for about in circuit.description.components:
        by_word.setdefault(about.role.word, []).append(about)
    lines = []
    for word in sorted(by_word, key=_order):
        clear = word != NO_ROLE
        found = [about for about in by_word[word] if about.name in nodes]
        found.sort(key=lambda about: (-abs(nodes[about.name].effect) if clear else 0, reading_order(nodes[about.name])))
        actors = tuple(Actor(about.name, ", ".join(_phrases(about, places)) if clear else "") for about in found)
        if actors:
            lines.append(
                Line(_title(word, len(actors)), say(f"terms.role_says.{word}") if word in ROLES else "", actors)
            )
    return lines


def _title(word: str, count: int) -> str:
    return say(f"terms.roles.{word}") if word in ROLES and count > 1 else say_term("role", word)


def _order(word: str) -> tuple[int, str]:
    words = [*ROLES, NO_ROLE]
    return (words.index(word) if word in words else len(ROLES), word)


def _phrases(about: About, places: int) -> list[str]:
    """What shows its role, what it writes, what it looks at, whom it feeds: the first of these that are told from 0."""
    said: list[str] = []
    known: Mapping[str, Any] = {} if about.patterns is None else vars(about.patterns)
    if (seen := known.get(about.role.word.replace(" ", "_"))) is not None:
        said.append(say("story.on_random", share=percent(seen.value)))
    if about.role.word == "inhibition":
        said += _feeds(about.feeds, places)
    if about.role.word == "sink" and about.looks is not None:
        said.append(say("story.on_first", share=percent(about.looks.first.value)))
    if about.writes is not None and _told(about.writes.direct):
        said.append(say("story.writes", effect=number(about.writes.direct.value, places)))
    if about.looks is not None and about.looks.positions:
        most = max(about.looks.positions, key=lambda share: share.value.value)
        said += _looks(most)
    if about.role.word != "inhibition":
        said += _feeds(about.feeds, places)
    return said[:MOST_PHRASES] or list(about.role.evidence[:1])


def _looks(most: Share) -> list[str]:
    share = most.value.value
    return [say("story.looks", position=most.name, share=percent(share))] if share >= _NOTABLE else []


def _feeds(feeds: tuple[Feed, ...], places: int) -> list[str]:
    told = [feed for feed in feeds if _told(feed.total)]
    if not told:
        return []
    most = max(told, key=lambda feed: abs(feed.total.value))
    value, through = number(most.total.value, places), say_term("input", most.through)
    return [say("story.feeds", target=most.target, input=through, effect=value)]


def _told(found: Estimate) -> bool:
    return found.excludes_zero
