"""What the learning curve says about the budget: which stages to run, and how many ablations a target will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from circuitspex.recovery.learning import power_law, round_up

LEAST = 16
"""The fewest masks of a stage, and the fewest that can confirm a target."""

BEYOND = 10
"""A forecast beyond this many times the budget is not given as a number."""


@dataclass(frozen=True)
class Stage:
    """One point of the learning curve.

    A function decoded from ``n_ablations`` masks predicts ``n_masks`` further ones, which its fit has not seen, with
    this R² and 95 % bootstrap interval over masks; None where the values do not vary.
    """

    n_ablations: int
    r2: float | None
    low: float | None
    high: float | None
    n_masks: int

    def __str__(self) -> str:
        if self.r2 is None or self.low is None or self.high is None:
            return f"{self.n_ablations} ablations: R² undefined, the values do not vary on {self.n_masks} new masks"
        interval = f"[{self.low:.3f}, {self.high:.3f}]"
        return f"{self.n_ablations} ablations: R² {self.r2:.3f} {interval} on {self.n_masks} new masks"

    def reaches(self, until: float) -> bool:
        """Whether the lower end of the interval is at least ``until``, on at least ``LEAST`` masks."""
        return self.low is not None and self.low >= until and self.n_masks >= LEAST


def stages(budget: int) -> tuple[int, ...]:
    """How many ablations there are after each stage: an eighth, a quarter, a half and all of the budget.

    Stages that would bring fewer than ``LEAST`` new ones are left out, so a small budget is one stage.
    """
    sizes: list[int] = []
    for size in (math.ceil(budget / 8), math.ceil(budget / 4), math.ceil(budget / 2)):
        before = sizes[-1] if sizes else 0
        if size - before >= LEAST and budget - size >= LEAST:
            sizes.append(size)
    return (*sizes, budget)


def likely_budget(curve: Sequence[Stage], until: float, budget: int) -> int | None:
    """How many ablations will likely bring the interval's lower end to ``until``.

    ``1 - R² = a K^-b`` is fitted to the curve by least squares of the logarithms. The R² to be reached is higher than
    ``until``, because the interval has a width: its lower end is taken to miss as many times more as at the last
    point.

    Returns:
        The number, rounded up to two digits; None where it is beyond ``BEYOND`` times the budget, or the curve does not
        rise, or has fewer than two points.
    """
    points = [(s.n_ablations, s.r2, s.low) for s in curve if s.r2 is not None and s.low is not None]
    law = power_law([(size, r2) for size, r2, _ in points])
    if law is None:
        return None
    _, r2, low = points[-1]
    widening = max(1.0, (1 - low) / max(1 - r2, 1e-9))
    needed = (math.log((1 - until) / widening) - law[0]) / law[1]
    if needed > math.log(BEYOND * budget):
        return None
    # The target was missed with the budget that there was, so less is no answer.
    return round_up(max(math.exp(needed), budget + 1))


def advice(curve: Sequence[Stage], until: float, budget: int) -> str:
    """One sentence for a target that was not reached: what was, and which budget would likely do."""
    measured = [stage for stage in curve if stage.r2 is not None]
    if not measured:
        return f"until={until:g} could not be checked: there were no new masks on which the values vary"
    last = f"until={until:g} was not reached: {measured[-1]}"
    if len({stage.n_ablations for stage in measured}) < 2:
        return f"{last}; a budget of {2 * LEAST} or more has stages, from which a budget can be told"
    number = likely_budget(measured, until, budget)
    if number is None:
        return f"{last}; it would likely take more than {BEYOND * budget} ablations"
    return f"{last}; a budget of about {number} would likely reach it"
