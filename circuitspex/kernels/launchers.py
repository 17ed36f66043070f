"""Which function launches the Triton kernel of each operator; imported only where Triton is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LAUNCHERS: dict[str, Callable[..., Any]] = {}
"""By the operator's name; the arguments are the operator's own."""
