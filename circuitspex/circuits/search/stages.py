"""Ablations in stages that stop early: each stage's masks are predicted before they join the fit.

What the learning curve says about the budget: which stages to run, and how many ablations a target will take.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from circuitspex.circuits.found import LEAST, Stage
from circuitspex.games import Run
from circuitspex.masks.members import unseen
from circuitspex.recovery import Interactions
from circuitspex.recovery.scoring.learning_curve import power_law, round_up
from circuitspex.silence import no_warnings
from circuitspex.typing import Masks

BEYOND = 10
"""A forecast beyond this many times the budget is not given as a number."""


def explore(
    ablate: Callable[[Masks], Run],
    masks: Masks,
    decode: Callable[[Run], Interactions],
    *,
    until: float | None = None,
) -> tuple[Run, Interactions, tuple[Stage, ...]]:
    """Run the masks and decode them; in stages that stop once new masks are predicted well, where ``until`` is given.

    After each stage the function decoded so far predicts the masks of the next one, which no fit has seen. Once the
    lower end of the R²'s 95 % interval is at least ``until``, the search ends, and the masks that confirmed
    it join the final decode.

    Args:
        ablate: from masks to finished ablations; it remembers, so that each mask is run once.
        masks: the whole budget, bool ``(K, n)``, True = kept; a stage is a prefix of it.
        decode: from finished ablations to a function.
        until: the R² to stop at; None runs the whole budget in one go.

    Returns:
        The ablations that were run, the function decoded from all of them, and one point of the learning curve for
        each stage that had a next one.
    """
    sizes = (len(masks),) if until is None else stages(len(masks))
    run = ablate(masks[: sizes[0]])
    curve: list[Stage] = []
    for size in sizes[1:]:
        with no_warnings():  # that little is explained yet is what the next stage is for
            so_far = decode(run)
        new = unseen(masks[len(run) : size], run.masks)
        run = ablate(masks[:size])
        if len(new):
            score = so_far.score(new, ablate(new).values)
            curve.append(Stage(so_far.n_ablations, score.r2, score.low, score.high, score.n_masks))
        if until is not None and curve and curve[-1].reaches(until):
            break
    return run, decode(run), tuple(curve)


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
