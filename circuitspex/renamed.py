"""Names that were changed: the old ones go on for one release, with a warning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


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
                    warn_renamed(f"{function.__name__}({old}=…)", f"{new}=…")
                    given[new] = given.pop(old)
            return function(*args, **given)

        return call

    return decorate
