"""A made-up translation: every text in marks, so that words of another place are seen by their lack of them."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from html.parser import HTMLParser

from circuitspex.export.words.saying import texts
from circuitspex.export.words.text import Plural, Text

SPOKEN = ("title", "aria-label", "placeholder", "alt")
"""Attributes whose words a person sees or hears."""
_NAMES = re.compile(
    r"\b(L\d+(KV\d+|H\d+|M|N\d+(:\d+)?|S\d+)?(\.[qkv])?(@-?\d+)?|H\d+|emb|logits)\b|\d+(\.\d+)?(e[+-]?\d+)?( s\b)?"
)


def _wrapped(form: str) -> str:
    """What stands between the placeholders in marks: the values that go in have their own, or are data."""
    made = ""
    for literal, name, spec, _ in string.Formatter().parse(form):
        made += f"«{literal}»" if re.search(r"[^\W\d]", literal) else literal
        made += "" if name is None else "{" + name + (f":{spec}" if spec else "") + "}"
    return made


def marked() -> dict[str, Text]:
    """Every text but the code of the language."""
    return {
        key: Plural(_wrapped(text.one), _wrapped(text.many)) if isinstance(text, Plural) else _wrapped(text)
        for key, text in texts().items()
        if key != "page.language"
    }


def left(shown: Iterable[str], data: Iterable[str]) -> set[str]:
    """The words without marks that are no names of components, no numbers and none of the data."""
    found: set[str] = set()
    longest_first = sorted(set(data), key=len, reverse=True)
    known = re.compile("|".join(rf"(?<!\w){re.escape(one)}(?!\w)" for one in longest_first))
    for text in shown:
        rest = re.sub(r"«[^»]*(»|$)", " ", text)
        found |= set(re.findall(r"[^\W\d_][\w']*", _NAMES.sub(" ", known.sub(" ", rest))))
    return found


class Visible(HTMLParser):
    """The texts of a document that a person sees or hears."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._inside.append(tag)
        self.texts += [value for name, value in attrs if name in SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        if self._inside[-1:] == [tag]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside and data.strip():
            self.texts.append(data)
