"""The lenses: what is ablated, as a game that gives a value for each mask."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
