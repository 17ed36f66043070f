"""Task files: one JSON object a line.

Each line has four fields of an :class:`~circuitspex.tasks.example.Example` as strings, maybe its ``positions``, and no
others; blank lines are allowed, the encoding is UTF-8::

    {"prompt": "The sky is", "counterfactual": "The grass is", "answer": " blue", "wrong_answer": " green"}

The answers carry their leading space. Positions are tokens of the prompt by name: ``"positions": {"subject": 1}``.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from circuitspex import strict_json
from circuitspex.errors import FileFormatError, TaskError
from circuitspex.strict_json import short
from circuitspex.tasks.example import Example

MAX_LINE = 10_000_000
"""The most characters of one line that are read."""
_POSITIONS = "positions"
_FIELDS = tuple(f.name for f in fields(Example) if f.name != _POSITIONS)


def read_lines(path: str | Path) -> list[tuple[str, Example]]:
    """The examples of a task file, each with its place (``ioi.jsonl line 3``) for later errors."""
    path = Path(path)
    try:
        data = strict_json.file_bytes(path)
    except FileFormatError as error:
        raise TaskError(f"can't read task file {path}: {error}") from None
    _check_encoding(path, data)
    found = []
    # Not splitlines(): that also breaks at characters which may stand inside a JSON string.
    for number, line in enumerate(data.decode("utf-8-sig").split("\n"), start=1):
        if line.strip():
            place = f"{path.name} line {number}"
            if len(line) > MAX_LINE:
                raise TaskError(f"{place}: has {len(line):,} characters; at most {MAX_LINE:,} are read")
            found.append((place, _parse(line, place)))
    if not found:
        raise TaskError(f"task file {path} has no prompts; it needs at least one line")
    return found


def _check_encoding(path: Path, data: bytes) -> None:
    """Name the line where a file is not UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise TaskError(f"{path.name} line 1: the file is UTF-16; save it as UTF-8")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = data.count(b"\n", 0, error.start) + 1
        raise TaskError(f"{path.name} line {at}: not UTF-8 text (the byte 0x{data[error.start]:02x})") from None
    for number, line in enumerate(data.split(b"\n"), start=1):
        place = f"{path.name} line {number}"
        if number > 1 and line.startswith(codecs.BOM_UTF8):
            raise TaskError(f"{place}: begins with a byte order mark, which can only begin a file; remove it")
        if b"\0" in line:
            raise TaskError(f"{place}: has a NUL byte: it is damaged, or UTF-16 without its mark; save it as UTF-8")


def write(path: str | Path, examples: Sequence[Example]) -> None:
    """Writes ``examples`` in the order they have."""
    lines = [json.dumps(_record(example), ensure_ascii=False) + "\n" for example in examples]
    try:
        Path(path).write_text("".join(lines), encoding="utf-8", newline="\n")
    except OSError as error:
        raise TaskError(f"can't write task file {path}: {error.strerror or error}") from None


def _record(example: Example) -> dict[str, Any]:
    record = {**asdict(example), _POSITIONS: dict(example.positions)}
    return record if example.positions else {name: record[name] for name in _FIELDS}


def _parse(line: str, place: str) -> Example:
    try:
        record = strict_json.parse(line)
    except FileFormatError as error:
        raise TaskError(f"{place}: {error}") from None
    if not isinstance(record, dict):
        raise TaskError(f"{place}: must be a JSON object with the fields {', '.join(_FIELDS)}")
    for name in _FIELDS:
        if name not in record:
            raise TaskError(f"{place}: missing field '{name}'; the fields are {', '.join(_FIELDS)}")
    for name, value in record.items():
        if name == _POSITIONS:
            continue
        if name not in _FIELDS:
            raise TaskError(f"{place}: unknown field {short(name)}; the fields are {', '.join(_FIELDS)}, {_POSITIONS}")
        if not isinstance(value, str):
            raise TaskError(f"{place}: field '{name}' must be a string, not {type(value).__name__}")
    try:
        return Example(**record)
    except TaskError as error:
        raise TaskError(f"{place}: {error}") from None
