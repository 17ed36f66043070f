"""``Interactions`` as a JSON file: written whole or not at all, and checked when it is read."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from circuitspex import strict_json
from circuitspex.checks import MAX_NAME
from circuitspex.errors import FileFormatError
from circuitspex.files import write_atomically
from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.scoring.r2 import Score
from circuitspex.strict_json import short

FORMAT = "circuitspex.interactions"
VERSION = 1
MAX_ENTRIES = 1_000_000
"""The most components, and the most interactions, that are read."""
MAX_ORDER = 50
"""The most components of an interaction that are read."""
_KEYS = {"format", "version", "method", "keep", "seed", "n_ablations", "n_gradients", "seconds", "cross_validated"}
_KEYS |= {"names", "terms", "coefficients", "standard_errors"}


def write_json(found: Any, path: Path) -> Path:
    """Write ``Interactions``.

    Raises:
        UserError: the place can't be written to.
    """
    measured = found.cross_validated
    content = {
        "format": FORMAT,
        "version": VERSION,
        "method": found.method,
        "keep": found.keep,
        "seed": found.seed,
        "n_ablations": found.n_ablations,
        "n_gradients": found.n_gradients,
        "seconds": found.seconds,
        "cross_validated": [measured.r2, measured.low, measured.high, measured.n_masks],
        "names": list(found.names),
        "terms": [list(term) for term in found.terms],
        "coefficients": found.coefficients.tolist(),
        "standard_errors": found.standard_errors.tolist(),
    }
    return write_atomically(path, json.dumps(content, allow_nan=False).encode())


def read_json(path: Path) -> dict[str, Any]:
    """The fields of ``Interactions`` that were written, checked.

    Raises:
        FileFormatError: the file is missing, damaged, or of a newer version.
    """
    try:
        text = strict_json.file_text(path)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    try:
        content = strict_json.parse(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise FileFormatError(f"it holds no interactions (its 'format' is not '{FORMAT}')")
        if not _is_whole(content.get("version")) or content["version"] != VERSION:
            raise FileFormatError(f"it has version {short(content.get('version'))}; this circuitspex reads {VERSION}")
        return _fields(content)
    except FileFormatError as error:
        raise FileFormatError(f"{path} is damaged, or of another kind: {error}") from None


def _fields(content: dict[str, Any]) -> dict[str, Any]:
    if set(content) != _KEYS:
        wrong = sorted(set(content) ^ _KEYS)[0]
        raise FileFormatError(f"{'lacks' if wrong in _KEYS else 'has the unknown field'} {short(wrong)}")
    names = _names(content["names"])
    terms = _terms(content["terms"], len(names))
    coefficients, errors = (
        np.array([_number(each, f"{key}[{i}]") for i, each in enumerate(_list(content[key], key))], dtype=np.float64)
        for key in ("coefficients", "standard_errors")
    )
    if not coefficients.shape == errors.shape == (len(terms),):
        raise FileFormatError("terms, coefficients and standard errors differ in number")
    if (errors < 0).any():
        raise FileFormatError("a standard error is below 0")
    keep = _number(content["keep"], "keep")
    if not 0 <= keep <= 1:
        raise FileFormatError(f"keep is not a share from 0 to 1, but {keep}")
    seconds = _number(content["seconds"], "seconds")
    if seconds < 0:
        raise FileFormatError(f"seconds are {seconds}; they must be at least 0")
    if not isinstance(content["method"], str) or not content["method"]:
        raise FileFormatError(f"method must be a text, not {short(content['method'])}")
    if not _is_whole(content["seed"]):
        raise FileFormatError(f"seed must be a whole number, not {short(content['seed'])}")
    return {
        "function": Polynomial(terms, coefficients),
        "standard_errors": errors,
        "names": names,
        "method": content["method"],
        "keep": keep,
        "n_ablations": _count(content["n_ablations"], "n_ablations"),
        "n_gradients": _count(content["n_gradients"], "n_gradients"),
        "cross_validated": _score(content["cross_validated"]),
        "seconds": seconds,
        "seed": content["seed"],
    }


def _names(value: Any) -> tuple[str, ...]:
    names = _list(value, "names")
    for i, name in enumerate(names):
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise FileFormatError(f"names[{i}] must be a text of at most {MAX_NAME:,} characters, not {short(name)}")
    if len(set(names)) != len(names):
        raise FileFormatError("two components have the same name")
    return tuple(names)


def _terms(value: Any, n_players: int) -> tuple[tuple[int, ...], ...]:
    terms = [tuple(_list(term, f"terms[{i}]")) for i, term in enumerate(_list(value, "terms"))]
    for i, term in enumerate(terms):
        if len(term) > MAX_ORDER:
            raise FileFormatError(f"terms[{i}] has {len(term):,} components; at most {MAX_ORDER} are read")
        if not all(map(_is_whole, term)) or any(not 0 <= member < n_players for member in term):
            raise FileFormatError(f"terms[{i}] must hold indices of components, 0 to {n_players - 1}")
        if any(one >= other for one, other in pairwise(term)):
            raise FileFormatError(f"terms[{i}] must be increasing indices, each once")
    if len(set(terms)) != len(terms):
        raise FileFormatError("a term is there twice")
    return tuple(terms)


def _score(value: Any) -> Score:
    parts = _list(value, "cross_validated")
    if len(parts) != 4:
        raise FileFormatError(f"cross_validated must be R², low, high and the number of masks, not {short(parts)}")
    r2, low, high = (None if part is None else _number(part, "cross_validated") for part in parts[:3])
    known = [part for part in (low, r2, high) if part is not None]
    if known != sorted(known) or max(known, default=0) > 1 or len(known) not in (0, 3):
        raise FileFormatError(f"cross_validated must be an R² of at most 1 within its interval, not {short(parts)}")
    return Score(r2, low, high, _count(parts[3], "cross_validated[3]"))


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise FileFormatError(f"{where} must be a list, not {short(value)}")
    if len(value) > MAX_ENTRIES:
        raise FileFormatError(f"{where} has {len(value):,} entries; at most {MAX_ENTRIES:,} are read")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Any, where: str) -> int:
    if not _is_whole(value) or not 0 <= value < 2**63:
        raise FileFormatError(f"{where} must be a whole number of at least 0, not {short(value)}")
    return int(value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        raise FileFormatError(f"{where} must be a number, not {short(value)}")
    return float(value)
