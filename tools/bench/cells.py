"""Cells: what one decoder reached on one game at one budget, and how they are kept."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Cell:
    """``r2`` is None where there is no fit, and ``note`` then says why.

    ``seconds`` are those of a clock and ``cpu`` those of the processor: fits have one thread, so that the two differ
    only where other programs run as well. ``used`` is how many ablations the decoder really ran; ``estimate``, ``low``
    and ``high`` are its own estimate of its R² and the interval.
    """

    suite: str
    game: str
    n: int
    noise: str
    ablations: int
    repeat: int
    column: str
    r2: float | None
    seconds: float | None = None
    cpu: float | None = None
    used: int | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def row(self) -> tuple[str, str, int, str, int]:
        """The row of a table that it belongs to, together with its repeats."""
        return self.suite, self.game, self.n, self.noise, self.ablations


@dataclass(frozen=True)
class Mean:
    """One column of one row: the mean over the repeats that have a fit, and the notes of those that have none."""

    r2: float | None
    cpu: float | None
    notes: tuple[str, ...]


def mean_of(cells: Sequence[Cell]) -> Mean:
    """The mean is None as soon as one repeat has no fit: a mean over the easy ones would flatter."""
    notes = tuple(sorted({cell.note for cell in cells if cell.r2 is None}))
    if not cells or notes:
        return Mean(None, None, notes)
    return Mean(float(np.mean([c.r2 for c in cells])), float(np.mean([c.cpu for c in cells])), ())


def rows_of(cells: Iterable[Cell]) -> dict[tuple[str, str, int, str, int], dict[str, Mean]]:
    """Means by row and column, in the order of the cells."""
    grouped: dict[tuple[str, str, int, str, int], dict[str, list[Cell]]] = {}
    for cell in cells:
        grouped.setdefault(cell.row, {}).setdefault(cell.column, []).append(cell)
    return {row: {key: mean_of(each) for key, each in columns.items()} for row, columns in grouped.items()}


def as_csv(cells: Iterable[Cell]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Cell)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, cells))
    return out.getvalue()


def as_json(about: dict[str, Any], cells: Iterable[Cell]) -> str:
    return json.dumps({"about": about, "cells": [asdict(cell) for cell in cells]}, indent=1)
