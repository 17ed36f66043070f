"""Results as JSON and back: one converter for all types, one way to write and to read a file.

A result's file is its dataclasses, field by field, after the name and the version of the format. It is written whole or
not at all, and checked both ways: finite numbers, plain JSON, and what the format's own check says.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from circuitspex import strict_json
from circuitspex.errors import FileFormatError, UserError
from circuitspex.files import write_atomically
from circuitspex.strict_json import short

T = TypeVar("T")

_UNORDERED = frozenset({"model", "task", "run", "same_as"})
"""Fields whose mappings are written in alphabetical order."""


@dataclass(frozen=True)
class JsonForm(Generic[T]):
    """The file of one type of result.

    ``name`` and ``version`` stand in the file; versions up to this one are read. ``problem_of`` says in one line what
    is wrong with a file's content, or gives None. ``renamed`` are fields that have another name in the file, ``order``
    the keys of the file where they don't stand as the fields do. ``with_gaps``: numbers that are not finite are null
    in the file, which can't be read back. ``ascii`` writes escapes for all other letters.
    ``left_out`` are fields that are not in the file where they have their default.
    """

    kind: type[T]
    name: str
    version: int
    problem_of: Callable[[dict[str, Any]], str | None]
    renamed: Mapping[str, str] | None = None
    order: Iterable[str] = ()
    with_gaps: bool = False
    ascii: bool = False
    left_out: Iterable[str] = ()

    def __post_init__(self) -> None:
        changed: dict[str, Any] = {field: override(rename=name) for field, name in (self.renamed or {}).items()}
        changed |= {field: override(omit_if_default=True) for field in self.left_out}
        fields: Callable[[T], dict[str, Any]] = make_dict_unstructure_fn(self.kind, CONVERTER, **changed)
        CONVERTER.register_structure_hook(self.kind, make_dict_structure_fn(self.kind, CONVERTER, **changed))

        def unstructure(result: T) -> dict[str, Any]:
            found = {"format": self.name, "version": self.version, **fields(result)}
            return {key: found[key] for key in self.order or found if key in found}

        CONVERTER.register_unstructure_hook(self.kind, unstructure)

    @property
    def what(self) -> str:
        """What error lines call it: 'circuit'."""
        return self.name.rpartition(".")[2]

    def to_json(self, result: T) -> dict[str, Any]:
        """The result as a JSON object that keeps to the format.

        Raises:
            UserError: something in it has no place in the file: NaN, an edge without its node, not plain JSON.
        """
        try:
            data: dict[str, Any] = _plain(CONVERTER.unstructure(result), "", self.with_gaps)
            problem = self.problem_of(data)
        except UserError as error:
            problem = str(error)
        if problem:
            raise UserError(f"this {self.what} can't be written as {self.what}.json: {problem}")
        return data

    def from_json(self, data: Any) -> T:
        """The result of a JSON object that ``to_json`` gave.

        Raises:
            FileFormatError: one line that says what is wrong and what is allowed.
        """
        problem = self.problem_of_file(data)
        if problem:
            raise FileFormatError(problem)
        try:
            return CONVERTER.structure(data, self.kind)
        except OverflowError:
            raise FileFormatError("holds a number that is too large") from None
        except (TypeError, KeyError) as error:
            raise FileFormatError(f"holds something of another type than its field has ({error})") from None

    def problem_of_file(self, data: Any) -> str | None:
        """What is wrong with what a file holds, its format and version first; None where nothing is."""
        if not isinstance(data, dict) or data.get("format") != self.name:
            return f"not a {self.what} file: \"format\" must be '{self.name}'"
        version = data.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            return f'"version" must be a whole number from 1 to {self.version}, not {short(version)}'
        if version > self.version:
            up_to = f"(version {version}; this one reads up to {self.version})"
            return f"was written by a newer circuitspex {up_to}; upgrade it"
        return self.problem_of(data)

    def dumps(self, result: T) -> str:
        """The text of the file; the same result always gives the same text."""
        data = self.to_json(result)
        text = json.dumps(data, indent=1, ensure_ascii=self.ascii, allow_nan=False)
        if any("\ud800" <= letter <= "\udfff" for letter in text):  # half a surrogate pair has no UTF-8
            text = json.dumps(data, indent=1, allow_nan=False)
        return text + "\n"

    def write(self, result: T, path: Path) -> Path:
        """Write the file, whole or not at all.

        Raises:
            UserError: the result has no valid file form, or the path can't be written.
        """
        return write_atomically(path, self.dumps(result).encode("utf-8"))

    def read(self, path: Path) -> T:
        """Read a file.

        Raises:
            FileFormatError: it is missing, damaged, of another format, or of a newer version.
        """
        try:
            return self.from_json(strict_json.read(path))
        except UserError as error:
            raise FileFormatError(f"{path}: {error}") from None


def _plain(value: Any, path: str, with_gaps: bool, sort: bool = False, depth: int = 1) -> Any:
    """A copy in plain JSON types; refuses what JSON can't say exactly, and what could not be read again."""
    if depth > strict_json.MAX_DEPTH:
        raise UserError(f"{path[:60]}… stands more than {strict_json.MAX_DEPTH} deep")
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        if abs(int(value)) >= 2**1023:
            raise UserError(f"{path} is a number that is too large")
        return int(value)
    if isinstance(value, numbers.Real):
        if math.isfinite(value):
            return float(value)
        if with_gaps:
            return None
        raise UserError(f"{path} is {float(value)}, not a finite number")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UserError(f"the key {key!r} of {path} is not text")
        return {
            key: _plain(value[key], f"{path}.{key}".lstrip("."), with_gaps, sort or key in _UNORDERED, depth + 1)
            for key in (sorted(value) if sort else value)
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item, f"{path}[{i}]", with_gaps, sort, depth + 1) for i, item in enumerate(value)]
    raise UserError(f"{path} is a {type(value).__name__}, which is not plain JSON")


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a finite number")
    return float(value)


def _whole(value: Any, _: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError("not a whole number")
    if abs(value) >= 2**63:
        raise OverflowError
    return int(value)


def _text(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def leave_out(kind: type[Any], *fields: str) -> None:
    """Leave fields of a dataclass out of files where they have their default; call it before its ``JsonForm``."""
    omitted: dict[str, Any] = {name: override(omit_if_default=True) for name in fields}
    CONVERTER.register_unstructure_hook(kind, make_dict_unstructure_fn(kind, CONVERTER, **omitted))


def _converter() -> Converter:
    made = Converter(detailed_validation=False)
    made.register_structure_hook(float, _number)
    made.register_structure_hook(int, _whole)
    made.register_structure_hook(str, _text)
    made.register_structure_hook(bool, lambda value, _: bool(value))
    made.register_unstructure_hook_func(lambda kind: kind == Mapping[str, Any], lambda value: value)
    return made


CONVERTER = _converter()
