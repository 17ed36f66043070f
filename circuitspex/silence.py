"""Warnings and progress bars of this thread kept quiet for a while; other threads keep theirs.

``warnings.catch_warnings`` copies the filters of the whole process and puts the copy back: two threads that overlap can
leave the wrong one. Here one filter is put in while any thread is quiet, and it lets through what the others say.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

_lock = threading.RLock()
_of_thread = threading.local()
_filters: dict[type[Warning], tuple[object, ...]] = {}
_users: Counter[object] = Counter()


class _ThisThread:
    """In place of a filter's regular expression: fits every message of a thread that is quiet about a category."""

    def __init__(self, category: type[Warning]) -> None:
        self.category = category

    def match(self, message: str) -> bool:
        """Whether this thread is quiet."""
        return bool(_depths()[self.category])


@contextlib.contextmanager
def no_warnings(category: type[Warning] = Warning) -> Iterator[None]:
    """Within the block this thread's warnings of a category are not shown."""

    def begin() -> None:
        # As ``warnings.filterwarnings`` would write it, but for the first place, which it gives to a text.
        _filters[category] = ("ignore", _ThisThread(category), category, None, 0)
        warnings.filters.insert(0, _filters[category])  # type: ignore[attr-defined]

    def end() -> None:
        ours = _filters.pop(category)
        with contextlib.suppress(ValueError):  # someone has put other filters in place
            warnings.filters.remove(ours)  # type: ignore[attr-defined]

    with while_any(category, begin, end), counted(category):
        yield


def shown_filters() -> list[Any]:
    """The warning filters of the process, without those that are only here for a while."""
    return [each for each in warnings.filters if not isinstance(each[1], _ThisThread)]


def restore_filters(filters: list[Any]) -> None:
    """The filters as they were, and those that are only here for a while."""
    with _lock:
        if shown_filters() != filters:
            here = [each for each in warnings.filters if isinstance(each[1], _ThisThread)]
            warnings.filters[:] = [*here, *filters]  # type: ignore[index]


@contextlib.contextmanager
def while_any(key: object, begin: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """``begin`` when the first of all threads enters a block of this key, ``end`` when the last leaves."""
    with _lock:
        if not _users[key]:
            begin()
        _users[key] += 1
    try:
        yield
    finally:
        with _lock:
            _users[key] -= 1
            if not _users[key]:
                end()


@contextlib.contextmanager
def counted(key: object) -> Iterator[None]:
    """Within the block, ``is_within(key)`` is true in this thread."""
    _depths()[key] += 1
    try:
        yield
    finally:
        _depths()[key] -= 1


def is_within(key: object) -> bool:
    """Whether this thread is in a block of this key."""
    return bool(_depths()[key])


def _depths() -> Counter[object]:
    found: Counter[object] | None = getattr(_of_thread, "depths", None)
    if found is None:
        found = _of_thread.depths = Counter()
    return found
