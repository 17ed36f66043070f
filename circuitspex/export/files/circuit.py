"""``circuit.json``: the one file that carries everything, written whole, and checked both ways.

The format is described by ``circuit.schema.json`` (JSON Schema, draft 2020-12) beside this module; ``circuit_check.py``
says what is wrong with a file that breaks it.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuitspex.circuits.circuit import (
    Circuit,
    Combination,
    Direction,
    Estimate,
    Faithfulness,
    Interaction,
    Node,
    Verification,
)
from circuitspex.errors import FileFormatError, UserError
from circuitspex.export.files.circuit_check import problem_of, short
from circuitspex.files import write_atomically

FORMAT = "circuitspex.circuit"
VERSION = 3
CANNOT_WRITE = "this circuit can't be written as circuit.json"


def to_json(circuit: Circuit) -> dict[str, Any]:
    """The circuit as a JSON object that keeps to the schema.

    Raises:
        UserError: something in the circuit has no place in the file: NaN, an edge without its node, not plain JSON.
    """
    data = {
        "format": FORMAT,
        "version": VERSION,
        "model": _plain(circuit.model, "model"),
        "task": _plain(circuit.task, "task"),
        "run": _plain(circuit.run, "run"),
        "faithfulness": _plain(asdict(circuit.faithfulness), "faithfulness", sort=False),
        "nodes": _plain([asdict(node) for node in circuit.nodes], "nodes", sort=False),
        "edges": _plain([asdict(edge) for edge in circuit.interactions], "edges", sort=False),
        "dropped": _plain([asdict(edge) for edge in circuit.dropped], "dropped", sort=False),
        "verification": None
        if circuit.verification is None
        else _plain(asdict(circuit.verification), "verification", sort=False),
    }
    problem = problem_of(data)
    if problem:
        raise UserError(f"{CANNOT_WRITE}: {problem}")
    return data


def from_json(data: Any) -> Circuit:
    """The circuit of a JSON object that ``to_json`` gave.

    Raises:
        FileFormatError: one line that says what is wrong and what is allowed.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FileFormatError(f"not a circuit file: \"format\" must be '{FORMAT}'")
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileFormatError(f'"version" must be a whole number from 1 to {VERSION}, not {short(version)}')
    if version > VERSION:
        raise FileFormatError(
            f"was written by a newer circuitspex (version {version}; this one reads up to {VERSION}); upgrade it"
        )
    problem = problem_of(data)
    if problem:
        raise FileFormatError(problem)
    try:
        return _circuit(data)
    except OverflowError:
        raise FileFormatError("holds a number that is too large") from None


def dumps(circuit: Circuit) -> str:
    """The text of ``circuit.json``; the same circuit always gives the same text."""
    data = to_json(circuit)
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    if any("\ud800" <= character <= "\udfff" for character in text):  # half a surrogate pair can't be written as UTF-8
        text = json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False)
    return text + "\n"


def write(circuit: Circuit, path: Path) -> Path:
    """Write ``circuit.json``, whole or not at all.

    Raises:
        UserError: the circuit has no valid file form, or the path can't be written.
    """
    return write_atomically(path, dumps(circuit).encode("utf-8"))


def read(path: Path) -> Circuit:
    """Read a ``circuit.json``.

    Raises:
        FileFormatError: the file is missing, damaged, of another format, or of a newer version.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise FileFormatError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"{path}: not a circuit file: it is not UTF-8 text") from None
    except OSError as error:
        raise FileFormatError(f"{path}: can't be read: {error.strerror or error}") from error
    try:
        data = json.loads(text, parse_constant=_refuse_number, parse_float=_finite)
    except json.JSONDecodeError as error:
        detail = "it is empty" if not text.strip() else f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise FileFormatError(f"{path}: not JSON, or cut short ({detail})") from None
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: {error}") from None
    try:
        return from_json(data)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None


def _plain(value: Any, path: str, sort: bool = True) -> Any:
    """A copy in plain JSON types, with mappings in alphabetical order; refuses what JSON can't say exactly."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        if not math.isfinite(value):
            raise UserError(f"{CANNOT_WRITE}: {path} is {float(value)}, not a finite number")
        return float(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UserError(f"{CANNOT_WRITE}: the key {key!r} of {path} is not text")
        return {key: _plain(value[key], f"{path}.{key}", sort) for key in (sorted(value) if sort else value)}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item, f"{path}[{i}]", sort) for i, item in enumerate(value)]
    kind = type(value).__name__
    raise UserError(f"{CANNOT_WRITE}: {path} is a {kind}, which is not plain JSON")


def _circuit(data: dict[str, Any]) -> Circuit:
    faithfulness, verification = data["faithfulness"], data["verification"]
    return Circuit(
        nodes=tuple(
            Node(
                node["name"],
                int(node["layer"]),
                node["kind"],
                float(node["decoded"]),
                _estimate(node["measured"]),
                _numbers(node.get("per_prompt", ())),
            )
            for node in data["nodes"]
        ),
        interactions=tuple(_edge(edge) for edge in data["edges"]),
        faithfulness=Faithfulness(
            r2=_number(faithfulness["r2"]),
            low=_number(faithfulness["low"]),
            high=_number(faithfulness["high"]),
            n_masks=int(faithfulness["n_masks"]),
        ),
        verification=None if verification is None else _verification(verification),
        dropped=tuple(_edge(edge) for edge in data["dropped"]),
        model=data["model"],
        task=data["task"],
        run=data["run"],
    )


def _edge(data: dict[str, Any]) -> Interaction:
    direction = data.get("direction")
    return Interaction(
        tuple(data["components"]),
        float(data["decoded"]),
        _estimate(data["measured"]),
        _numbers(data.get("per_prompt", ())),
        tuple(Combination(tuple(row["kept"]), float(row["value"])) for row in data.get("table", ())),
        _number(data.get("q")),
        None
        if direction is None
        else Direction(direction["source"], direction["target"], _required_estimate(direction["share"])),
    )


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _estimate(data: dict[str, float] | None) -> Estimate | None:
    return None if data is None else _required_estimate(data)


def _required_estimate(data: dict[str, float]) -> Estimate:
    return Estimate(float(data["value"]), float(data["low"]), float(data["high"]))


def _verification(data: dict[str, Any]) -> Verification:
    return Verification(
        n_prompts=int(data["n_prompts"]),
        n_components=int(data["n_components"]),
        n_random=int(data["n_random"]),
        full=float(data["full"]),
        empty=float(data["empty"]),
        circuit_kept=_required_estimate(data["circuit_kept"]),
        circuit_removed=_required_estimate(data["circuit_removed"]),
        random_kept=_required_estimate(data["random_kept"]),
        random_removed=_required_estimate(data["random_removed"]),
    )


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


def _refuse_number(text: str) -> float:
    raise ValueError(f"holds the number {short(text)}; only finite numbers are allowed")
