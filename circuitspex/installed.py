"""The versions of installed packages, and of this one."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

NO_VERSION = "0+unknown"
"""What is said where this package runs from files that were never installed."""


@functools.cache
def own_version() -> str:
    """The version of this package, which its build took from the tag in git; ``0+unknown`` if it is not installed."""
    return versions_of(["circuitspex"]).get("circuitspex", NO_VERSION)


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
