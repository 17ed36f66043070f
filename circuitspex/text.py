"""Text that others chose, made harmless for where it goes: one function for each place, used by all that write there.

Names of components, words of prompts, names of models, tasks and checkpoints may hold anything: control characters,
halves of surrogate pairs, marks that turn the direction of writing, what a spreadsheet takes for a formula.
"""

from __future__ import annotations

import re
import unicodedata

JOINERS = "\u200c\u200d"
"""Invisible characters that scripts and emoji need within words; no other invisible one is shown."""
REPLACED = "\ufffd"
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORMULA = tuple("=+-@\t\r\n'")
# Where the program's separator is another, a cell of its own begins.
_AFTER_SEPARATOR = re.compile(r"(?<=\S)([;\t]\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def printable(text: object) -> str:
    """For pictures, pages and tables: on one line, with U+FFFD for whatever has no sign of its own."""
    return signs(" ".join(str(text).split()))


def signs(text: str) -> str:
    """With U+FFFD for whatever has no sign of its own, line ends too; spaces stay as many as they are."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _has_sign(c) else REPLACED for c in text)


def message(text: object, most: int = 4000) -> str:
    """For lines on a terminal: on one line, with escapes (``\\x1b``) for whatever has no sign of its own."""
    line = " ".join(str(text).split())
    if len(line) > most:
        line = line[: most - 1] + "…"
    return escaped(line)


def escaped(text: str) -> str:
    """With escapes for whatever has no sign of its own, line ends too; spaces stay as many as they are."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _has_sign(c) else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def xml(text: str) -> str:
    """For attributes and text of XML 1.0, which the writer escapes: lines stay; what XML can't hold is U+FFFD."""
    return _NOT_IN_XML.sub(REPLACED, text)


def cell(text: str) -> str:
    """For a cell of a table that a spreadsheet opens: nothing that it runs as a formula, an apostrophe before it.

    Full-width signs count too (some programs read ``＝`` as ``=``), and what stands behind spaces, a byte order mark or
    other invisible characters. What has no sign of its own is U+FFFD, but for tabs and line ends, which CSV can hold.
    """
    kept = "".join(c if _has_sign(c) or c in "\t\r\n\u00a0" else REPLACED for c in text)
    # The first character that a reader may see: behind spaces, and behind what was replaced.
    first = unicodedata.normalize("NFKC", kept.lstrip(" \u00a0\u3000\ufffd" + JOINERS))[:1]
    kept = _AFTER_SEPARATOR.sub(r"\1'", kept)
    return f"'{kept}" if first.startswith(_FORMULA) else kept


def _has_sign(character: str) -> bool:
    return (character.isprintable() or character in JOINERS) and character not in "\ufffe\uffff"
