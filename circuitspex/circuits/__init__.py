"""The circuit graph: finding it, measuring it, verifying it, comparing two."""

import warnings
from typing import Any

import lazy_loader

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "Edge":
        warnings.warn("circuitspex.circuits.Edge is now Interaction", DeprecationWarning, stacklevel=2)
        name = "Interaction"
    return _public(name)
