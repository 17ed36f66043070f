"""A text in spans: words, sentences, or ranges of characters that a user gives."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Literal, get_args

from circuitspex.errors import UserError

Unit = Literal["words", "tokens", "sentences"]

Range = tuple[int, int]
"""Characters ``start`` to ``end``, the end not included."""

_WORD = re.compile(r"\S+")
# A sentence ends at a full stop, a question or exclamation mark (with quotes or brackets that close after it) before a
# space, or at the end of a line. Abbreviations such as "Dr. Smith" are cut too: give spans of your own for those.
_SENTENCE = re.compile(r"\S(?:[^\n]*?[.!?…][\"'”’)\]]*(?=\s|$)|[^\n]*)")


def check_unit(unit: object) -> Unit:
    """The unit itself, if there is one of that name."""
    for known in get_args(Unit):
        if unit == known:
            return known  # type: ignore[no-any-return]
    raise UserError(f"unknown unit '{unit}'; allowed: {', '.join(get_args(Unit))}, or a list of (start, end)")


def words(text: str) -> list[Range]:
    """Runs of characters without white space; punctuation stays with its word."""
    return [match.span() for match in _WORD.finditer(text)]


def sentences(text: str) -> list[Range]:
    """Sentences; each line has its own."""
    found = []
    for match in _SENTENCE.finditer(text):
        start, end = match.span()
        found.append((start, start + len(text[start:end].rstrip())))
    return found


def check_spans(spans: Sequence[Range], text: str) -> list[Range]:
    """The user's spans in the order of the text.

    Raises:
        UserError: none, one that is no pair of whole numbers, is empty or lies outside the text, or two that overlap.
    """
    found: list[Range] = []
    for span in spans:
        if (
            not isinstance(span, Sequence)
            or isinstance(span, str)
            or len(span) != 2
            or not all(isinstance(end, int) and not isinstance(end, bool) for end in span)
        ):
            raise UserError(f"a span is a pair (start, end) of whole numbers, not {span!r}")
        start, end = span
        if not 0 <= start < end <= len(text):
            raise UserError(
                f"span ({start}, {end}) is not inside the prompt, which has {len(text)} characters; "
                f"allowed: 0 <= start < end <= {len(text)}"
            )
        if not text[start:end].strip():
            raise UserError(f"span ({start}, {end}) holds nothing but white space")
        found.append((start, end))
    if not found:
        raise UserError("no spans were given; give at least one (start, end)")
    found.sort()
    for one, other in itertools.pairwise(found):
        if other[0] < one[1]:
            raise UserError(f"spans {one} and {other} overlap; each character can belong to one span")
    return found


def inside(text: str, part: str) -> Range:
    """Where ``part`` stands in the text, the last time it does.

    Raises:
        UserError: it is empty, or not there.
    """
    start = text.rfind(part) if part.strip() else -1
    if start < 0:
        raise UserError(f"the part {_short(part)} is not in the prompt {_short(text)}")
    return start, start + len(part)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
