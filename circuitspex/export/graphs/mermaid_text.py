"""The limits of Mermaid on GitHub, and text that is safe in its labels."""

from __future__ import annotations

from circuitspex.text import printable

MAX_TEXT = 50_000
"""The longest diagram that Mermaid renders unless its page says otherwise, in UTF-16 units."""
MAX_LINKS = 500
"""The most links that Mermaid renders unless its page says otherwise."""
_PLAIN = frozenset(" .,:@+−×·_²–[]()=%/")


def escaped(text: str) -> str:
    """Text for a quoted Mermaid label; everything but letters, digits and plain punctuation becomes an entity."""
    line = printable(text)
    return "".join(c if (c.isascii() and c.isalnum()) or c in _PLAIN else f"#{ord(c)};" for c in line)
