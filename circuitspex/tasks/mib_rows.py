"""Rows of the data sets of MIB's circuit track and of EAP-IG, read from a file.

MIB's rows are JSON objects (a list of them, or one a line), with a prompt, counterfactuals by name, and what the
answers follow from: the names of an IOI sentence in ``metadata``, ``choices`` and ``answerKey`` of a question with
options, the ``label`` of a sum. EAP-IG's are lines of a CSV file with the columns ``clean`` and ``corrupted``, and the
token ids of both answers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitspex import strict_json
from circuitspex.errors import FileFormatError, TaskError
from circuitspex.strict_json import short

ENDINGS = (".csv", ".json")
_PAIRS = (
    ("correct_idx", "incorrect_idx"),
    ("country_idx", "corrupted_country_idx"),
    ("capital_idx", "corrupted_capital_idx"),
    ("clean_answer_idx", "corrupted_answer_idx"),
)
"""The columns of both answers in EAP-IG's files."""
_USUAL = {"ioi": "s2_io_flip_counterfactual", "choices": "symbol_counterfactual", "sum": "random_counterfactual"}
"""The counterfactual that MIB patches with, for each kind of row."""
MOST_FIELD = 1_000_000


@dataclass(frozen=True)
class Row:
    """One row; answers are texts of which the first token counts, or token ids.

    ``alike`` are texts that have equally many tokens in a row that MIB takes, ``single`` whether they have one;
    ``lacking`` says of a row without a counterfactual that it has none.
    """

    place: str
    prompt: str
    counterfactual: str
    answer: str | int
    wrong_answer: str | int
    alike: tuple[str, ...] = ()
    single: bool = False
    lacking: bool = False


def is_rows(path: str | Path) -> bool:
    """Whether a file is of this kind: by its ending, or because the first line has a counterfactual by name."""
    if str(path).endswith(ENDINGS):
        return True
    try:
        first = strict_json.file_bytes(path).decode("utf-8-sig").lstrip().partition("\n")[0]
        record = strict_json.parse(first)
    except (FileFormatError, UnicodeDecodeError):
        return False
    return isinstance(record, dict) and any(key.endswith("_counterfactual") for key in record)


def read_rows(path: str | Path, counterfactual: str | None = None) -> list[Row]:
    """The rows of a file; ``counterfactual`` names the one to take, by default the one that MIB takes.

    Raises:
        TaskError: it can't be read, or a row is none of those above; one line that names it.
    """
    path = Path(path)
    try:
        text = strict_json.file_text(path)
        if path.suffix == ".csv":
            return _of_csv(text, path.name)
        records = list(_records(text, path))
    except FileFormatError as error:
        raise TaskError(f"can't read task file {path}: {error}") from None
    if not records:
        raise TaskError(f"task file {path} has no rows; it needs at least one")
    return [_of_record(record, f"{path.name} {place}", counterfactual) for place, record in records]


def _records(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix != ".json" or text.lstrip("\ufeff \t\r\n").startswith("{"):  # one a line, whatever it is called
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
            if line.strip():
                try:
                    yield f"line {number}", strict_json.parse(line)
                except FileFormatError as error:
                    raise FileFormatError(f"line {number}: {error}") from None
        return
    found = strict_json.parse(text)
    if not isinstance(found, list):
        raise FileFormatError("it must be a list of rows, each an object (or a .jsonl file with one a line)")
    yield from ((f"row {number}", record) for number, record in enumerate(found))


def _of_record(record: Any, place: str, wanted: str | None) -> Row:
    if not isinstance(record, dict) or not isinstance(record.get("prompt"), str):
        raise TaskError(f"{place}: must be an object with a 'prompt', as rows of MIB's data sets are")
    kind = _kind(record, place)
    name = wanted or _USUAL[kind]
    other = record.get(name)
    if other is None and name in record:
        return Row(place, record["prompt"], "", "", "", lacking=True)
    if not isinstance(other, dict):
        known = [key for key in record if key.endswith("_counterfactual")]
        raise TaskError(f"{place}: has no counterfactual {short(name)}; it has {', '.join(known) or 'none'}")
    if other.get("prompt") is None:
        return Row(place, record["prompt"], "", "", "", lacking=True)
    try:
        if kind == "ioi":
            about = record["metadata"]
            names = (f" {about['indirect_object']}", f" {about['subject']}")
            third = (f" {about['random_c']}",) if about.get("random_c") is not None else ()
            return Row(place, record["prompt"], str(other["prompt"]), names[0], names[1], (*names, *third))
        answers = (
            (_choice(record), _choice(other)) if kind == "choices" else (str(record["label"]), str(other["label"]))
        )
        return Row(place, record["prompt"], str(other["prompt"]), *answers, alike=answers, single=kind == "sum")
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise TaskError(f"{place}: lacks a field of MIB's {kind} rows ({short(error)})") from None


def _kind(record: dict[str, Any], place: str) -> str:
    about = record.get("metadata")
    if isinstance(about, dict) and "indirect_object" in about:
        return "ioi"
    if "choices" in record and "answerKey" in record:
        return "choices"
    if "label" in record:
        return "sum"
    raise TaskError(
        f"{place}: is no row of MIB's data sets: it has neither metadata.indirect_object (ioi), choices and answerKey "
        "(mcqa, arc), nor label (arithmetic)"
    )


def _choice(record: dict[str, Any]) -> str:
    return str(record["choices"]["label"][record["answerKey"]])


def _of_csv(text: str, name: str) -> list[Row]:
    csv.field_size_limit(MOST_FIELD)
    try:
        lines = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
        columns = list(lines.fieldnames or ())
        records = list(lines)
    except csv.Error as error:
        raise FileFormatError(f"not a CSV file: {error}") from None
    for column in ("clean", "corrupted"):
        if column not in columns:
            raise TaskError(
                f"{name}: has no column '{column}'; EAP-IG's files have clean, corrupted and the ids of answers"
            )
    pair = next((pair for pair in _PAIRS if set(pair) <= set(columns)), None)
    if pair is None:
        raise TaskError(
            f"{name}: has no columns of a right and a wrong answer ({'; '.join(map(', '.join, _PAIRS))}); files with "
            "one label a row (greater-than, sva) are scored over many tokens, which no pair of answers says"
        )
    if not records:
        raise TaskError(f"task file {name} has no rows; it needs at least one")
    return [_of_line(record, f"{name} row {number}", pair) for number, record in enumerate(records)]


def _of_line(record: dict[str, Any], place: str, pair: tuple[str, str]) -> Row:
    ids = []
    for column in pair:
        value = str(record[column]).strip()
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise TaskError(f"{place}: {column} must be the id of a token, not {short(value)}")
        ids.append(int(value))
    if record["clean"] is None or record["corrupted"] is None:
        raise TaskError(f"{place}: has fewer fields than the file has columns")
    return Row(place, record["clean"], record["corrupted"], ids[0], ids[1])
