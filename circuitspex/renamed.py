"""Names that were changed: the old ones go on for one release, with a warning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def warn_renamed(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Say that a name is now another; shown to everybody, once for each place."""
    warnings.warn(
        f"{old} is now {new}; the old name will go with the next release", FutureWarning, stacklevel=stacklevel
    )


def renamed(**new_names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: keywords of before are taken for those of now, with a warning; ``renamed(least="min_effect")``.

    Raises:
        TypeError: when it is called with the old and the new name of one argument.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            given: dict[str, Any] = dict(options)
            for old, new in new_names.items():
                if old in given:
                    if new in given:
                        raise TypeError(f"{function.__name__} was given {new} and also {old}, its old name")
                    warn_renamed(f"{function.__qualname__}({old}=…)", f"{new}=…")
                    given[new] = given.pop(old)
            return function(*args, **given)

        return call

    return decorate


def renamed_fields(**new_names: str) -> Callable[[type[T]], type[T]]:
    """A decorator of a class: its constructor takes the keywords of before, with a warning."""

    def decorate(kind: type[T]) -> type[T]:
        kind.__init__ = renamed(**new_names)(kind.__init__)  # type: ignore[method-assign]
        return kind

    return decorate
