"""The circuit graph: finding it, measuring it, verifying it, comparing two."""

from typing import Any

import lazy_loader

from circuitspex.renamed import warn_renamed

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "Edge":
        warn_renamed("circuitspex.circuits.Edge", "Interaction")
        name = "Interaction"
    return _public(name)
