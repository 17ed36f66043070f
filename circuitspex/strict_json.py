"""Files that others wrote, read strictly: JSON without what is no JSON, of a bounded size and depth, each key once.

Every reader of the package starts here. What can't be read raises ``FileFormatError`` with one line that does not name
the file; the caller puts its name before it.
"""

from __future__ import annotations

import json
import math
import os
import stat
from itertools import islice
from pathlib import Path
from typing import Any

from circuitspex.errors import FileFormatError

MAX_BYTES = 512 * 1024**2
"""Files of more bytes are not read."""
MAX_DEPTH = 100
"""Objects and lists stand inside each other at most so deep."""
MAX_DIGITS = 400
"""A number has at most so many characters."""


def file_bytes(path: str | Path, most: int = MAX_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        FileFormatError: there is none, it can't be read, it is a folder, a pipe or a device, or it is too large.
    """
    try:
        check_regular(path, most)
        with open(path, "rb") as file:
            found = file.read(most + 1)
    except OSError as error:
        raise FileFormatError(f"can't be read: {error.strerror or error}") from None
    if len(found) > most:  # it grew
        raise FileFormatError(_too_large(len(found), most))
    return found


def check_regular(path: str | Path, most: int | None = None) -> None:
    """Whether it is a regular file of at most so many bytes; a pipe would be waited for without end.

    Raises:
        FileFormatError: it is not, or there is none.
    """
    try:
        about = os.stat(path)
    except FileNotFoundError:
        raise FileFormatError("there is no such file") from None
    except OSError as error:
        raise FileFormatError(f"can't be read: {error.strerror or error}") from None
    except ValueError:  # a NUL in its name
        raise FileFormatError("can't be read: its name has a character that no file name can have") from None
    if stat.S_ISDIR(about.st_mode):
        raise FileFormatError("can't be read: Is a directory")
    if not stat.S_ISREG(about.st_mode):
        raise FileFormatError("can't be read: it is a pipe or a device, not a file")
    if most is not None and about.st_size > most:
        raise FileFormatError(_too_large(about.st_size, most))


def file_text(path: str | Path, most: int = MAX_BYTES) -> str:
    """The content of a regular file as text: UTF-8, with or without a byte order mark.

    Raises:
        FileFormatError: as ``file_bytes``, or it is not UTF-8.
    """
    try:
        return file_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFormatError("it is not UTF-8 text") from None


def parse(text: str, *, nan: bool = False) -> Any:
    """The value that a JSON text stands for.

    Args:
        text: one JSON value.
        nan: whether ``NaN`` may stand for a number, as files of other tools have it.

    Raises:
        FileFormatError: it is not JSON (with line and column), has a key twice in one object, a number that is not
            finite, too long or too large, or stands more than ``MAX_DEPTH`` deep.
    """
    if not text.strip():
        raise FileFormatError("not JSON, or cut short (it is empty)")
    try:
        found = json.loads(
            text,
            parse_constant=_constant if nan else _finite,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        detail = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise FileFormatError(f"not JSON, or cut short ({detail})") from None
    except RecursionError:
        raise FileFormatError(_TOO_DEEP) from None
    if _deeper(found, MAX_DEPTH):
        raise FileFormatError(_TOO_DEEP)
    return found


def read(path: str | Path, *, nan: bool = False, most: int = MAX_BYTES) -> Any:
    """The value in a JSON file; see ``file_text`` and ``parse``.

    Raises:
        FileFormatError: what these refuse.
    """
    return parse(file_text(path, most), nan=nan)


_TOO_DEEP = f"its objects and lists stand more than {MAX_DEPTH} deep inside each other"


def _too_large(found: int, most: int) -> str:
    return f"has {found:,} bytes; at most {most:,} are read"


def _finite(text: str) -> float:
    value = float(text) if len(text) <= MAX_DIGITS else math.inf
    if not math.isfinite(value):
        raise FileFormatError(f"holds the number {short(text)}; only finite numbers are allowed")
    return value


def _constant(text: str) -> float:
    return math.nan if text == "NaN" else _finite(text)


def _whole(text: str) -> int:
    value = int(text) if len(text) <= MAX_DIGITS else None
    if value is None or abs(value) >= 2**1023:
        raise FileFormatError(f"holds the number {short(text)}, which is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise FileFormatError(f"an object has the key {short(twice)} twice")
    return found


def _deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def short(value: Any, length: int = 60) -> str:
    """A value for an error line: on one line, not long, its control characters as escapes."""
    if isinstance(value, str | list):
        value = value[: length + 1]
    elif isinstance(value, dict):
        value = dict(islice(value.items(), length))
    elif isinstance(value, int) and abs(value) >= 10**length:
        return f"a whole number of more than {length} digits"
    text = " ".join(repr(value).split())
    return text if len(text) <= length else text[: length - 1] + "…"
