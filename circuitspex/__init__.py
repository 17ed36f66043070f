"""circuitspex: find which components of a language model work together.

Many ablations at once, a sparse decoder that recovers which components interact, and circuit graphs that are measured,
verified and drawn. The public names, listed in ``__init__.pyi``, are imported when they are first used, so that
``import circuitspex`` is quick.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
