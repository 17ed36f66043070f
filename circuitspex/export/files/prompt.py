"""``prompt.json``: the prompt, its words, and the circuit among them in the form of ``circuit.json``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.prompt_map import PromptMap, Word
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.files import circuit as json_file
from circuitspex.files import write_atomically

FORMAT = "circuitspex.prompt"
VERSION = 1


def to_json(found: PromptMap) -> dict[str, Any]:
    """The map as a JSON object."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "text": found.text,
        "rendered": found.rendered,
        "words": [_word_json(word) for word in found.words],
        "circuit": json_file.to_json(found.circuit),
    }


def _word_json(word: Word) -> dict[str, Any]:
    m = word.measured
    measured = None if m is None else {"value": m.value, "low": m.low, "high": m.high}
    return {
        "name": word.name,
        "start": word.start,
        "end": word.end,
        "decoded": word.decoded,
        "measured": measured,
    }


def write(found: PromptMap, path: Path) -> Path:
    """Write the file, whole or not at all."""
    text = json.dumps(to_json(found), indent=1, ensure_ascii=True, allow_nan=False)
    return write_atomically(path, (text + "\n").encode())


def read(path: Path) -> PromptMap:
    """Read the file.

    Raises:
        FileFormatError: it is missing, damaged, of another format, or of a newer version.
    """
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise FileFormatError(f"{path}: there is no such file") from None
    except OSError as error:
        raise FileFormatError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: not JSON, or cut short ({str(error)[:100]})") from None
    try:
        return from_json(data)
    except UserError as error:
        raise FileFormatError(f"{path}: {error}") from None


def from_json(data: Any) -> PromptMap:
    """The map of a JSON object that ``to_json`` gave.

    Raises:
        FileFormatError: one line that says what is wrong.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FileFormatError(f"not a prompt file: \"format\" must be '{FORMAT}'")
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileFormatError(f'"version" must be a whole number from 1 to {VERSION}')
    if version > VERSION:
        raise FileFormatError(
            f"was written by a newer circuitspex (version {version}; this one reads up to {VERSION}); upgrade it"
        )
    text, rendered, words = data.get("text"), data.get("rendered"), data.get("words")
    if not isinstance(text, str) or not isinstance(rendered, str) or not isinstance(words, list):
        raise FileFormatError('"text" and "rendered" must be texts, and "words" a list')
    circuit = json_file.from_json(data.get("circuit"))
    return PromptMap(text, rendered, tuple(_word(word, i) for i, word in enumerate(words)), circuit)


def _word(data: Any, index: int) -> Word:
    try:
        name, start, end, measured = data["name"], data["start"], data["end"], data["measured"]
        if not isinstance(name, str) or type(start) is not int or type(end) is not int:
            raise TypeError
        estimate = None if measured is None else Estimate(*(_finite(measured[k]) for k in ("value", "low", "high")))
        return Word(name, start, end, _finite(data["decoded"]), estimate)
    except (TypeError, KeyError, ValueError):
        raise FileFormatError(
            f"words[{index}] must have a name, whole numbers start and end, a number decoded, and measured (null, or "
            "value, low and high)"
        ) from None


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)
