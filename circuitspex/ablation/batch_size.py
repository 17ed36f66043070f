"""Work on many rows, part by part, where memory may be short."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from circuitspex.models.out_of_memory import is_out_of_memory

T = TypeVar("T")


def in_parts(n_rows: int, size: int, run: Callable[[slice], T]) -> list[T]:
    """``run`` on one part of the rows after another; where an allocation fails, on halves of it from there on.

    Raises:
        whatever ``run`` raises, if it is no failed allocation or the part was a single row.
    """
    found: list[T] = []
    start = 0
    while start < n_rows:
        part = slice(start, min(start + size, n_rows))
        try:
            found.append(run(part))
        except (RuntimeError, MemoryError) as error:
            size = part.stop - part.start
            if not is_out_of_memory(error) or size == 1:
                raise
            size //= 2
            continue
        start = part.stop
    return found
