"""The examination of a circuit as JSON: all its numbers, for other programs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuitspex.circuits.report import Report
from circuitspex.files import write_atomically

FORMAT = "circuitspex.report"
VERSION = 1


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain JSON; numbers that are not finite are null."""
    found: dict[str, Any] = _finite({"format": FORMAT, "version": VERSION, **asdict(report)})
    return found


def write(report: Report, path: Path) -> Path:
    """Write it, whole or not at all."""
    return write_atomically(path, (json.dumps(to_json(report), indent=1, allow_nan=False) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
