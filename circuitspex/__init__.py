"""circuitspex: find which components of a language model work together.

Many ablations at once, a sparse decoder that recovers which components interact, and circuit graphs that are measured,
verified and drawn. The public names, listed in ``__init__.pyi``, are imported when they are first used, so that
``import circuitspex`` is quick.
"""

from importlib import import_module
from typing import Any

import lazy_loader

FOLDERS = {"circuits", "components", "games", "masks", "models", "recovery", "tasks"}
"""``cx.circuits.find_edges`` and the like need no import of their own."""

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """A public name; the version is looked up when it is asked for, which takes as long as all else here."""
    if name == "__version__":
        from circuitspex.installed import own_version

        return own_version()
    if name in FOLDERS:
        return import_module(f"{__name__}.{name}")
    return _public(name)
