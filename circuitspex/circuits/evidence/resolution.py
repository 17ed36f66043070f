"""The smallest effect that a game's numbers can show, whatever the statistics say.

Numbers are rounded, and the rounding of a mask's value depends on the mask as any effect does: it can repeat itself in
every context and on every prompt, and then no interval says that it is none. So an effect of the size of the rounding
is no discovery, and neither is one that is lost beside how much the metric varies at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from circuitspex.typing import PerPrompt

# Of the standard deviation over masks and prompts, by the unit roundoff u of the numbers: what a model's own rounding,
# which adds up over its layers, may reach. u is 2^-53 in float64, 2^-24 in float32, 2^-11 or 2^-8 in half precision.
_SHARES = ((2.0**-40, 1e-9), (2.0**-20, 1e-4), (1.0, 1e-2))


@dataclass(frozen=True)
class Resolution:
    """What the numbers of a game can tell apart.

    ``unit`` is their unit roundoff (half the distance from 1 to the next number), ``size`` their root mean square,
    ``spread`` their standard deviation over masks and prompts, both in units of the metric.
    """

    unit: float
    size: float
    spread: float

    @classmethod
    def of(cls, values: PerPrompt, unit: float = 2.0**-53) -> Resolution:
        """From values ``(K, P)`` of masks; numbers that are all whole in float32 are taken as numbers of that type."""
        values = np.asarray(values, dtype=np.float64)
        if not values.size:
            return cls(unit, 0.0, 0.0)
        largest = float(np.abs(values).max()) or 1.0
        scaled = values / largest  # no square overflows
        with np.errstate(over="ignore", under="ignore"):
            if bool((values.astype(np.float32) == values).all()):
                unit = max(unit, 2.0**-24)
        return cls(unit, largest * float(np.sqrt((scaled**2).mean())), largest * float(scaled.std()))

    def least(self, order: int) -> float:
        """The largest effect of a set of this order that may be nothing but rounding, in units of the metric.

        An effect of order k is a sum of ``2^k`` values, each of which may be off by ``unit`` of its size.
        """
        share = next(share for most, share in _SHARES if self.unit <= most)
        return max(2.0**order * self.unit * self.size, share * self.spread)
