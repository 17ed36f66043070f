"""What a table of words holds: texts with ``{name}`` where values go in, and pairs of texts for one and for more."""

from __future__ import annotations

import string
from dataclasses import dataclass


@dataclass(frozen=True)
class Plural:
    """A text for ``n`` = 1, and one for any other ``n``."""

    one: str
    many: str

    def of(self, n: object) -> str:
        """The form for so many."""
        return self.one if n == 1 else self.many


Text = str | Plural
Texts = dict[str, Text]


def forms(text: Text) -> tuple[str, ...]:
    """The one or two forms of a text."""
    return (text,) if isinstance(text, str) else (text.one, text.many)


def placeholders(text: Text) -> frozenset[str]:
    """The names of the values that a text takes; ``n`` is one of a plural's, whether or not its forms show it."""
    named = {name for form in forms(text) for _, name, _, _ in string.Formatter().parse(form) if name}
    return frozenset(named | ({"n"} if isinstance(text, Plural) else set()))
