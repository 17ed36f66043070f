"""What evaluating a game gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from circuitspex.by_value import by_value
from circuitspex.half_precision import HalfMatrix
from circuitspex.typing import Gradients, Masks, PerPrompt, Values


@by_value
@dataclass(frozen=True)
class Run:
    """Finished ablations.

    ``masks`` bool ``(K, n)``, True = kept; ``per_prompt`` ``(K, P)`` the metric of each prompt; ``gradients``
    ``(K, n)``, d value / d gate at each mask, or None, in half precision where there are more than 2,500 components;
    ``seconds`` the time it took.
    """

    masks: Masks
    per_prompt: PerPrompt
    gradients: Gradients | HalfMatrix | None = None
    seconds: float = field(compare=False, default=0.0)

    @property
    def values(self) -> Values:
        """The value of each mask, ``(K,)``: the mean over the prompts."""
        return np.asarray(self.per_prompt.mean(axis=1))

    def __len__(self) -> int:
        return len(self.masks)
