"""What the record of a result says of how it came about: seconds by step, versions of packages."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from circuitspex.installed import versions_of
from circuitspex.recovery import Interactions

MOST_RECORDED = 4096
"""The main effects of so many components at most are kept in the record, for the heat map of layers and heads."""

_PACKAGES = ("circuitspex", "torch", "transformer-lens", "transformers", "numpy", "scipy", "lightgbm")


class Clock:
    """Seconds since the last mark, added up by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, name: str) -> None:
        """What took the time since the last mark."""
        now = time.perf_counter()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 3)
        self._last = now


def versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """The versions of those packages that are installed; by default of those that a result depends on."""
    return versions_of(packages)


def recorded_prompts(task: Mapping[str, Any]) -> tuple[str, ...]:
    """The prompts that the record of a circuit's task holds: those that it was found on, or the first of them."""
    return tuple(str(each["prompt"]) for each in task.get("prompts") or ())


def recorded_main_effects(found: Interactions) -> dict[str, Any]:
    """The field of the record with the decoded main effects that are not 0; nothing of very many components."""
    if found.n_players > MOST_RECORDED:
        return {}
    return {"main_effects": {name: float(f"{value:.6g}") for name, value in found.main_effects.items() if value}}
