"""What the page's script needs of a description and of the prompts: short lists of rounded numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from circuitspex.circuits.about import ROLES, About, Feed, Scored, Share
from circuitspex.circuits.circuit import Estimate
from circuitspex.export.words.saying import say, say_term
from circuitspex.text import printable, signs

_MINUS = re.compile(r"(?<![\w−-])-(?=\d)")  # a sign, not a hyphen
_ENDS = str.maketrans({"\n": "↵", "\t": "⇥", "\r": "␍"})


def token(text: object) -> str:
    """A token as it is shown: its spaces stay, ends of lines are seen, nothing else is without a sign."""
    return signs(str(text).translate(_ENDS))


def short(value: float) -> float:
    """Five significant digits."""
    return float(f"{value:.5g}")


def three(found: Estimate) -> list[float]:
    """Value, low and high."""
    return [short(found.value), short(found.low), short(found.high)]


def prompts(found: object) -> list[dict[str, Any]]:
    """The prompts of a record with their tokens and named positions; none where there are none."""
    return [_prompt(each) for each in found if isinstance(each, Mapping)] if isinstance(found, list | tuple) else []


def _prompt(each: Mapping[str, Any]) -> dict[str, Any]:
    named, pieces = each.get("positions"), each.get("tokens")
    return {
        "text": printable(each.get("prompt", "")),
        "answer": token(each.get("answer", "")),
        "wrong": token(each.get("wrong_answer", "")),
        "tokens": [token(piece) for piece in pieces] if isinstance(pieces, list | tuple) else [],
        "positions": {printable(name): _indices(at) for name, at in named.items()}
        if isinstance(named, Mapping)
        else {},
    }


def _indices(at: object) -> list[int]:
    given = at if isinstance(at, list | tuple) else [at]
    return [each for each in given if isinstance(each, int) and each >= 0]


def about(found: About) -> dict[str, Any]:
    """One component's description; what it lacks is left out."""
    said: dict[str, Any] = {
        "role": {
            "word": printable(found.role.word),
            "shown": say_term("role", printable(found.role.word)),
            "says": say(f"terms.role_says.{found.role.word}") if found.role.word in ROLES else "",
            "clear": found.role.is_clear,
            "margin": short(found.role.margin),
            "evidence": [_MINUS.sub("−", printable(each)) for each in found.role.evidence],
        },
        "where": [[printable(at.name), three(at.slope), three(at.effect) if at.effect else None] for at in found.where],
        "reads": [_feed(each, each.source) for each in found.reads],
        "feeds": [_feed(each, each.target) for each in found.feeds],
        "fires": [
            [printable(one.unit), one.prompt, one.position, token(one.token), short(one.activation)]
            + ([] if one.direct is None else [short(one.direct)])
            for one in found.fires
        ],
        "lacks": [printable(each) for each in found.lacks],
    }
    if (looks := found.looks) is not None:
        said["looks"] = {
            "where": _shares(looks.where),
            "positions": _shares(looks.positions),
            "tokens": [[token(each.name), *three(each.value)] for each in looks.tokens],
            "first": three(looks.first),
            "attention": [[round(share, 3) for share in row] for row in looks.per_prompt],
        }
    if (writes := found.writes) is not None:
        said["writes"] = {
            "direct": three(writes.direct),
            "promotes": _scored(writes.promotes),
            "suppresses": _scored(writes.suppresses),
            "copying": None if writes.copying is None else three(writes.copying),
        }
    if (known := found.patterns) is not None:
        said["patterns"] = [
            [say("terms.pattern.previous_token"), *three(known.previous_token)],
            [say("terms.pattern.duplicate_token"), *three(known.duplicate_token)],
            [say("terms.pattern.induction"), *three(known.induction)],
            [say("terms.pattern.first_token"), *three(known.first)],
        ]
        said["chance"] = short(known.chance)
    return said


def _shares(shares: Iterable[Share]) -> list[list[Any]]:
    return [[printable(each.name), *three(each.value)] for each in shares]


def _scored(found: Iterable[Scored]) -> list[list[Any]]:
    return [[token(each.token), short(each.score)] for each in found]


def _feed(found: Feed, other: str) -> dict[str, Any]:
    ways = {"query": found.query, "key": found.key, "value": found.value, "remainder": found.remainder}
    return {
        "other": other,
        "through": say_term("input", found.through),
        "total": three(found.total),
        "ways": [[name, say(f"terms.input.{name}"), *three(way)] for name, way in ways.items() if way is not None],
    }
