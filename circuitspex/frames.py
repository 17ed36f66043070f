"""Tables of results as pandas data frames; pandas is optional."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from circuitspex.errors import UserError

INSTALL = "pip install 'circuitspex[pandas]'"


def frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Any:
    """A ``pandas.DataFrame`` of these columns, one row for each mapping; what a row lacks is missing.

    Raises:
        UserError: pandas is not installed.
    """
    if importlib.util.find_spec("pandas") is None:
        raise UserError(f"data frames need pandas: {INSTALL}")
    import pandas

    found = list(rows)
    return pandas.DataFrame({name: [row.get(name) for row in found] for name in columns}, columns=list(columns))
