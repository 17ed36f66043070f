"""Results that hold arrays, compared by what they hold: NumPy's own ``==`` gives an array where one answer is meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def by_value(cls: type[T]) -> type[T]:
    """A decorator of a frozen dataclass: ``==`` is of its compared fields, arrays number by number, and it has a hash.

    NaN is equal to NaN, so that what was saved and read back is equal to what it was.
    """
    cls.__eq__ = _equal  # type: ignore[method-assign]
    cls.__hash__ = _hash  # type: ignore[method-assign]
    return cls


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, arrays in them number by number."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        both = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
        return both and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc" and other.dtype.kind in "fc")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _compared(result: Any) -> list[Any]:
    return [getattr(result, field.name) for field in fields(result) if field.compare]


def _equal(self: Any, other: object) -> Any:
    if self is other:
        return True
    return all(map(same, _compared(self), _compared(other))) if type(self) is type(other) else NotImplemented


def _hash(self: Any) -> int:
    """Of texts and whole numbers and of the shapes of arrays: equal results have the same."""
    kinds = str | int | np.ndarray
    parts = [
        value.shape if isinstance(value, np.ndarray) else value for value in _compared(self) if isinstance(value, kinds)
    ]
    return hash((type(self).__qualname__, *parts))
