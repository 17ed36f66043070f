"""``Interactions`` as a JSON file: written whole or not at all, and checked when it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from circuitspex.errors import FileFormatError
from circuitspex.files import write_atomically
from circuitspex.recovery.bases.polynomial import Polynomial
from circuitspex.recovery.scoring.r2 import Score

FORMAT = "circuitspex.interactions"
VERSION = 1


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
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(f"can't read {path}: {error.strerror}") from error
    except ValueError as error:
        raise FileFormatError(f"{path} is damaged: it is not whole JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FileFormatError(f"{path} holds no interactions (its 'format' is not '{FORMAT}')")
    if content.get("version") != VERSION:
        raise FileFormatError(f"{path} has version {content.get('version')!r}; this circuitspex reads {VERSION}")
    try:
        return _fields(content)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def _fields(content: dict[str, Any]) -> dict[str, Any]:
    names = tuple(str(name) for name in content["names"])
    terms = tuple(tuple(int(i) for i in term) for term in content["terms"])
    coefficients = np.array(content["coefficients"], dtype=np.float64)
    errors = np.array(content["standard_errors"], dtype=np.float64)
    if not coefficients.shape == errors.shape == (len(terms),):
        raise ValueError("terms, coefficients and standard errors differ in number")
    if not (np.isfinite(coefficients).all() and np.isfinite(errors).all()):
        raise ValueError("a coefficient is not finite")
    if any(not 0 <= i < len(names) for term in terms for i in term):
        raise ValueError("a term names a component that does not exist")
    if any(term != tuple(sorted(set(term))) for term in terms) or len(set(terms)) != len(terms):
        raise ValueError("terms must be increasing component indices, each once")
    if len(set(names)) != len(names):
        raise ValueError("two components have the same name")
    if not 0 <= content["keep"] <= 1:
        raise ValueError("'keep' is not a share")
    *interval, n_masks = content["cross_validated"]
    r2, low, high = (None if number is None else float(number) for number in interval)
    return {
        "function": Polynomial(terms, coefficients),
        "standard_errors": errors,
        "names": names,
        "method": str(content["method"]),
        "keep": float(content["keep"]),
        "n_ablations": int(content["n_ablations"]),
        "n_gradients": int(content["n_gradients"]),
        "cross_validated": Score(r2, low, high, int(n_masks)),
        "seconds": float(content["seconds"]),
        "seed": int(content["seed"]),
    }
