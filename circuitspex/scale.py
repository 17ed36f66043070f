"""Numbers of any size brought near 1 by a power of two, which changes no digit, so that squares stay finite."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from circuitspex.errors import UserError


def power_of_two(*arrays: Any) -> float:
    """The power of two by which numbers are divided so that the largest is between 1/2 and 2; 1 where all are 0.

    Dividing by it and multiplying by it again gives the same numbers, digit by digit.
    """
    largest = max((float(np.abs(array).max(initial=0.0)) for array in map(np.asarray, arrays)), default=0.0)
    if largest == 0 or not math.isfinite(largest):
        return 1.0
    return math.ldexp(1.0, min(max(math.frexp(largest)[1], -1021), 1023))


def whole(value: Any, what: str, least: int = 0, most: int | None = None) -> int:
    """A whole number as Python's ``int``: one of Python or of NumPy, no float, no text, no truth value.

    Raises:
        UserError: it is another thing, or not from ``least`` to ``most``.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise UserError(f"{what} must be a whole number, not {str(value)[:40]!r} ({type(value).__name__})")
    if value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None or value < least else f"at most {most}"
        shown = value if abs(int(value)) < 10**30 else "one of many digits"
        raise UserError(f"{what} must be {allowed}, not {shown}")
    return int(value)


def number(value: Any, what: str, least: float = -math.inf) -> float:
    """A finite number as Python's ``float``: one of Python or of NumPy, no text, no truth value.

    Raises:
        UserError: it is another thing, or below ``least``.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise UserError(f"{what} must be a number, not {str(value)[:40]!r} ({type(value).__name__})")
    found = float(value)
    if not math.isfinite(found) or found < least:
        allowed = "" if least == -math.inf else f" of at least {least:g}"
        raise UserError(f"{what} must be a finite number{allowed}, not {found:g}")
    return found


MOST_SEED = 2**63 - 1
MOST = 2**31 - 1
"""Of masks, of components, of repetitions: more are no number that anyone meant."""


def check_seed(seed: Any) -> int:
    """A seed, 0 to ``MOST_SEED``.

    Raises:
        UserError: it is none.
    """
    return whole(seed, "seed", 0, MOST_SEED)
