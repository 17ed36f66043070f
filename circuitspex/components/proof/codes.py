"""Which units are changed together, so that few rows tell all of them apart."""

from __future__ import annotations

import itertools
import math


def code(n_units: int) -> list[frozenset[int]]:
    """The rows in which each unit is changed: sets of one size, so that no unit's rows lie within another's.

    By Sperner's theorem half of the rows is the size that serves most units with a given number of rows.
    """
    n_rows = 2
    while math.comb(n_rows, n_rows // 2) < n_units:
        n_rows += 1
    size = n_rows if n_units == 1 else n_rows // 2
    return [frozenset(rows) for rows in itertools.islice(itertools.combinations(range(n_rows), size), n_units)]


def code_rows(n_units: int) -> int:
    """How many rows ``code`` uses."""
    return 1 + max(max(rows) for rows in code(n_units))
