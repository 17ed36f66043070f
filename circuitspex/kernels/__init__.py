"""The operators of passes on a card: products, attention and norms under a different mask for each group of rows.

Each has a plain PyTorch definition (``definitions``), which is its specification, and a Triton kernel that skips what
is ablated. Gates are 1 for kept and 0 for ablated.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
