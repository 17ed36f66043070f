"""Active refinement: circuits chosen by the decoded function are run for real, and decoded again with what they gave.

A small circuit keeps far fewer components than the masks that the function was decoded from, so its decoded value is a
guess. Each round runs the circuits that the function now chooses, with their gradients, and adds them to the data,
until the function predicts the circuits that it chooses, or chooses none that has not been run, or the rounds are used
up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from circuitspex.circuits._choose import choose_curve, match
from circuitspex.circuits.found import Refined, Tried
from circuitspex.errors import UserError
from circuitspex.games import LensGame, RememberingGame, Run
from circuitspex.masks.members import masks_keeping
from circuitspex.recovery import Interactions
from circuitspex.silence import no_warnings
from circuitspex.typing import FloatArray, Term


def refine(
    game: LensGame | RememberingGame,
    run: Run,
    decode: Callable[[Run], Interactions],
    sizes: Sequence[int],
    *,
    rounds: int = 3,
    tolerance: float = 0.1,
    progress: bool | None = None,
) -> Refined:
    """Choose circuits, run them, and decode again, until the decoded function is right about the circuits it chooses.

    Args:
        game: what is run; where it remembers, what it knows is not run again.
        run: finished ablations to begin with.
        decode: from finished ablations to a function.
        sizes: of the circuits: for each, the one with the highest decoded value and the one that matches the model.
        rounds: at most so many.
        tolerance: the largest difference between prediction and truth, as a share of the metric's difference between
            nothing and everything ablated.
        progress: progress bars, where the game does not remember and has none of its own.

    Raises:
        UserError: no rounds, or a tolerance that is not positive.
    """
    if rounds < 1 or not tolerance > 0:
        raise UserError(f"refinement needs at least one round and a positive tolerance, not {rounds} and {tolerance}")
    sizes = sorted({size for size in sizes if 0 < size < game.n_players})
    asked = RememberingGame.of(game, progress)
    ends = asked(masks_keeping([range(game.n_players), ()], game.n_players))
    span = abs(float(ends[0] - ends[1])) or 1.0
    interactions = decode(run)
    done: list[tuple[Tried, ...]] = []
    agreed = False
    for _ in range(rounds):
        circuits = _circuits(interactions, sizes)
        masks = masks_keeping(circuits, game.n_players)
        found = asked.evaluate(masks, gradients=run.gradients is not None, stage="chosen circuits")
        predicted = interactions.predict(masks)
        tried = tuple(
            Tried(members, float(guess), float(value))
            for members, guess, value in zip(circuits, predicted, found.values, strict=True)
        )
        done.append(tried)
        known, run = len(run), _joined(run, found)
        agreed = all(abs(each.predicted - each.value) <= tolerance * span for each in tried)
        if len(run) == known:
            break  # another round would decode the same data and choose the same circuits
        with no_warnings():
            interactions = decode(run)
        if agreed:
            break
    return Refined(interactions, run, tuple(done), agreed)


def _circuits(interactions: Interactions, sizes: Sequence[int]) -> list[Term]:
    highest = choose_curve(interactions, sizes)
    matched = [match(interactions, choice.size, start=choice.members) for choice in highest]
    return list(dict.fromkeys(choice.members for choice in [*highest, *matched]))


def _joined(one: Run, two: Run) -> Run:
    """Both, each mask once."""
    new = [i for i, row in enumerate(two.masks) if not (one.masks == row).all(1).any()]

    def both(first: FloatArray, second: FloatArray) -> FloatArray:
        return np.concatenate([first, second[new]])

    slopes = None
    if one.gradients is not None and two.gradients is not None:
        slopes = both(np.asarray(one.gradients), np.asarray(two.gradients))
    return Run(
        np.concatenate([one.masks, two.masks[new]]),
        both(one.per_prompt, two.per_prompt),
        slopes,
        one.seconds + two.seconds,
    )
