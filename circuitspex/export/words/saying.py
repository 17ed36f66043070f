"""The one way to the words: ``say("circuit.skip")``, in Python and in templates; scripts have a ``say`` of their own.

The first part of a key is the table, the rest is the key in it. ``translated`` puts other texts in their place.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from markupsafe import Markup, escape

from circuitspex.errors import UserError
from circuitspex.export.words import (
    card,
    circuit_page,
    claims,
    comparison,
    diagram,
    edges_page,
    examples_page,
    facts,
    figures,
    notebook,
    page,
    prompt,
    story,
    terms,
    trust,
)
from circuitspex.export.words.text import Plural, Text, Texts, placeholders
from circuitspex.text import printable

TABLES: Mapping[str, Texts] = MappingProxyType(
    {
        "page": page.TEXTS,
        "circuit": circuit_page.TEXTS,
        "edges": edges_page.TEXTS,
        "comparison": comparison.TEXTS,
        "prompt": prompt.TEXTS,
        "examples": examples_page.TEXTS,
        "notebook": notebook.TEXTS,
        "card": card.TEXTS,
        "story": story.TEXTS,
        "trust": trust.TEXTS,
        "claims": claims.TEXTS,
        "facts": facts.TEXTS,
        "diagram": diagram.TEXTS,
        "figures": figures.TEXTS,
    }
)
"""The tables by the first part of their keys; beside them are the ``terms`` that results are written in."""

_IN_SCRIPT = re.compile(r'\bsay(?:With)?\("([a-z0-9_.]+)"')
_given: ContextVar[Mapping[str, Text]] = ContextVar("words", default=MappingProxyType({}))


@functools.cache
def texts() -> Mapping[str, Text]:
    """Every text in English, by its whole key."""
    found = {f"{table}.{key}": text for table, held in TABLES.items() for key, text in held.items()}
    return MappingProxyType(found | {f"terms.{key}": text for key, text in terms.texts().items()})


def say(key: str, /, **values: Any) -> str:
    """The text of that key with its values; ``n`` chooses the form of a plural.

    Where a value is ``Markup`` the answer is too, and everything else in it is escaped.
    """
    text = _text(key)
    chosen = text.of(values["n"]) if isinstance(text, Plural) else text
    if any(hasattr(value, "__html__") for value in values.values()):
        safe = {name: value if hasattr(value, "__html__") else printable(value) for name, value in values.items()}
        return Markup(escape(chosen)).format(**safe)
    return chosen.format(**values)


def say_term(group: str, name: str, otherwise: str = "") -> str:
    """The word for a name that results use; of one that the terms don't have ``otherwise``, or else the name."""
    key = f"terms.{group}.{name}"
    return say(key) if key in texts() else otherwise or name


def script_words(script: str) -> dict[str, str | list[str]]:
    """The texts that a script says, as its page carries them: plurals as a list of both forms."""
    found = {key: _text(key) for key in sorted(set(_IN_SCRIPT.findall(script)))}
    return {key: [text.one, text.many] if isinstance(text, Plural) else text for key, text in found.items()}


@contextmanager
def translated(given: Mapping[str, Text]) -> Iterator[None]:
    """Pages and pictures that are made inside say these texts; keys that are not given stay English.

    Raises:
        UserError: a key that there is not, or a text whose placeholders are not those of the English one.
    """
    for key, text in given.items():
        if key not in texts():
            raise UserError(f"there is no text {key!r} to translate")
        wanted, found = placeholders(texts()[key]), placeholders(text)
        if found != wanted:
            names = ", ".join(sorted(wanted)) or "none"
            raise UserError(f"the translation of {key!r} must have the placeholders of the English text: {names}")
    token = _given.set(MappingProxyType(dict(given)))
    try:
        yield
    finally:
        _given.reset(token)


def _text(key: str) -> Text:
    given = _given.get()
    return given[key] if key in given else texts()[key]
