"""Ablations in stages that stop early: each stage's masks are predicted before they join the fit."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from circuitspex.circuits.ablations import Ablations, unseen
from circuitspex.circuits.budget import Stage, stages
from circuitspex.errors import UserError
from circuitspex.games import Run
from circuitspex.recovery import Interactions
from circuitspex.typing import Masks


def check_until(until: float | None) -> float | None:
    """``until`` itself; UserError unless it is None or 0 < until < 1."""
    if until is not None and not 0 < until < 1:
        raise UserError(f"until must lie between 0 and 1 and be neither (the R² to stop at), not {until}")
    return until


def explore(
    ablations: Ablations,
    masks: Masks,
    decode: Callable[[Run], Interactions],
    *,
    until: float | None = None,
    seed: int = 0,
) -> tuple[Run, Interactions, tuple[Stage, ...]]:
    """Run the masks and decode them; in stages that stop once new masks are predicted well, where ``until`` is given.

    After each stage the function decoded so far predicts the masks of the next one, which no fit has seen. Once the
    lower end of the R²'s 95 % bootstrap interval is at least ``until``, the search ends, and the masks that confirmed
    it join the final decode.

    Args:
        ablations: what runs the masks, each once.
        masks: the whole budget, bool ``(K, n)``, True = kept; a stage is a prefix of it.
        decode: from finished ablations to a function.
        until: the R² to stop at; None runs the whole budget in one go.
        seed: of the bootstrap.

    Returns:
        The ablations that were run, the function decoded from all of them, and one point of the learning curve for
        each stage that had a next one.
    """
    sizes = (len(masks),) if until is None else stages(len(masks))
    run = ablations.evaluate(masks[: sizes[0]])
    curve: list[Stage] = []
    for size in sizes[1:]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that little is explained yet is what the next stage is for
            so_far = decode(run)
        new = unseen(masks[len(run) : size], run.masks)
        run = ablations.evaluate(masks[:size])
        if len(new):
            score = so_far.score(new, ablations(new), seed=seed)
            curve.append(Stage(so_far.n_ablations, score.r2, score.low, score.high, score.n_masks))
        if until is not None and curve and curve[-1].reaches(until):
            break
    return run, decode(run), tuple(curve)
