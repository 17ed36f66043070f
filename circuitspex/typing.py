"""The words of the project as types, with their shapes.

Numbers of things: ``K`` masks, ``n`` components (players), ``P`` prompts.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.bool_]
"""Masks, shape ``(K, n)``. **True = kept**, False = ablated."""

Values = NDArray[np.float64]
"""One real number a mask, shape ``(K,)``."""

PerPrompt = NDArray[np.float64]
"""The metric of each prompt under each mask, shape ``(K, P)``; its mean over axis 1 is the value."""

Gradients = NDArray[np.float64]
"""d value / d gate of each component at each mask, shape ``(K, n)``."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Term = tuple[int, ...]
"""A set of components, as increasing indices; ``()`` is the constant."""


class Game(Protocol):
    """Anything that gives one number for each mask."""

    @property
    def n_players(self) -> int:
        """How many components there are."""

    def __call__(self, masks: Masks) -> Values:
        """The value under each mask: bool ``(K, n)`` in, float ``(K,)`` out."""
