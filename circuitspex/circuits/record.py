"""What the record of a result says of how it came about: seconds by step, versions of packages."""

from __future__ import annotations

import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

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
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
