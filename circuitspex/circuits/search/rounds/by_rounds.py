"""Rounds of finding circuits: slopes at those chosen so far, circuits by all slopes, until these are no better.

Each round chooses a circuit of each size by the main effects at that size and takes the slopes near it, on all prompts.
Main effects of a fixed model are those of its own neighbourhood; the circuits chosen by them are elsewhere, so each
round's slopes are of where the last one went. Slopes are taken on few prompts, which later rounds fit: in each round
circuits are also chosen by the slopes on some of the prompts and run on the others, and rounds stop once these say that
circuits are no better. The circuit of a size that is handed out is the one with most of the behaviour on all prompts,
of those that the slopes on all prompts choose after each round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from circuitspex.circuits.evidence.curve import SHARES
from circuitspex.circuits.search.rounds.matching import matched
from circuitspex.circuits.search.rounds.slopes import PATH, Slopes
from circuitspex.circuits.sized_circuits import OneCircuit, Round, SizedCircuit, masks_of
from circuitspex.errors import UserError
from circuitspex.games import RememberingGame
from circuitspex.scale import whole
from circuitspex.typing import FloatArray, IntArray, Masks, PerPrompt

GAIN = 0.01
"""Rounds go on while the area under the shares grows by this part of it."""
PATIENCE = 2
"""Rounds end after so many in a row without such a gain, over the best circuits or over those of the round before: the
first slopes at circuits often lead through worse ones, from which later rounds come back."""
_AT_MOST = 7
"""Slopes are taken at so many circuits a round."""
_FEW = 10
"""Up to so many players a pass of the budget, each is also ablated alone: gates that saturate have no slopes."""
SOFT = 0.1
"""How far gates are from open and closed where slopes near a circuit are taken. With none of it slopes are of one
circuit alone, and each round's circuits swing away from the last one's; with much more they are of no circuit."""
_FROM, _TO = 0.004, 0.6
"""Slopes are taken at circuits of these shares: smaller ones are dead, larger ones nearly the model."""


def search_by_rounds(
    game: Any,
    left_out: Any,
    choose: Callable[[IntArray, int], OneCircuit],
    budget: int = 40,
    sizes: Sequence[int] = (),
    *,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Circuits of every size among the players of a game: the fields of ``SizedCircuits``.

    Args:
        game: on the prompts whose slopes alone choose the circuits that rounds are judged by.
        left_out: the same players on the prompts that judge those; their slopes count for the circuits handed out.
        choose: from an order of all columns, and a size, to the circuit of at most that size.
        budget: passes with gradients over all prompts, at most; 5 for the start, and one for each of about seven sizes
            a round.
        sizes: of circuits; by default MIB's shares.
        progress: progress bars; by default where standard error is a terminal.

    Raises:
        UserError: a budget below 6, or sizes that there are not.
    """
    started = time.perf_counter()
    n = game.n_players
    budget = check_budget(budget)
    wanted = _sizes(n, sizes)
    asked, other = RememberingGame.of(game, progress), RememberingGame.of(left_out, progress)
    ends = other.evaluate(_ends(n), stage="all and nothing").per_prompt
    if ends[0].mean() == ends[1].mean():
        raise UserError(
            "the metric is the same with everything ablated: there is no behaviour to find a circuit of; take other "
            "prompts, other players or another baseline"
        )
    toward = 1.0 if ends[0].mean() > ends[1].mean() else -1.0  # where the behaviour is a lower metric
    slopes = _Slopes(asked, other)
    slopes.take(np.repeat(np.array(PATH)[:, None], n, axis=1), PATH)
    if n <= _FEW * budget:
        slopes.close_each()
    every, some = slopes.every, slopes.some
    start = len(every.rows)
    best: list[OneCircuit] = []
    known: list[int] = []  # how many slopes there were in each round
    rounds: list[Round] = []
    own_areas: list[float] = []  # of the circuits of each round alone
    moving: list[bool] = []  # whether a round gained anything

    def chosen(scores: FloatArray, size: int) -> OneCircuit:
        return choose(np.argsort(-scores, kind="stable"), size)

    while True:
        tried = _run(other, [chosen(toward * some.near(size / n), size) for size in wanted])
        before = best
        best = [max(pair, key=lambda each: toward * _value(each)) for pair in zip(best or tried, tried, strict=True)]
        known.append(len(every.rows))
        area, own = _area(best, ends, n), _area(tried, ends, n)
        better = not before or _gains(area, _area(before, ends, n))
        rising = not own_areas or _gains(own, own_areas[-1])
        own_areas.append(own)
        moving.append(better or rising)
        rounds.append(Round(every.passes, _shares(tried, ends), area, better))
        ahead = [chosen(toward * every.near(size / n), size) for size in wanted] if slopes.apart else tried
        here = [each for each in ahead if _FROM <= each.size / n <= _TO] or ahead[:-1] or ahead
        here = [here[i] for i in np.unique(np.linspace(0, len(here) - 1, _AT_MOST).round().astype(int))]
        if not any(moving[-PATIENCE:]) or every.passes + len(here) > budget:
            break
        gates = np.where(masks_of(here, n), 1 - SOFT, SOFT)
        slopes.take(gates, [each.size / n for each in here])
    candidates = [[chosen(toward * every.near(size / n, first), size) for first in known] for size in wanted]
    values = iter((toward * _on_all(asked, other, masks_of([each for row in candidates for each in row], n))).tolist())
    highest = [max(row, key=lambda _: next(values)) for row in candidates]
    scores_at = np.stack([every.near(size / n) for size in wanted])
    nearest = matched(
        highest,
        toward * every.mean(start),
        _on_all(asked, other, _ends(n)[:1])[0],
        chosen,
        lambda circuits: _on_all(asked, other, masks_of(circuits, n)),
    )
    return {
        "scores": every.mean(),
        "sizes_of_slopes": every.size(start),
        "sizes": tuple(wanted),
        "scores_at": scores_at.astype(np.float32),
        "highest": tuple(_run(other, highest)),
        "nearest": tuple(_run(other, nearest)),
        "whole": ends[0],
        "empty": ends[1],
        "rounds": tuple(rounds),
        "n_prompts": game.n_samples + (left_out.n_samples if slopes.apart else 0),
        "passes": every.passes,
        "plain_passes": len(other),
        "seconds": time.perf_counter() - started,
    }


def check_budget(budget: int, players: str = "components") -> int:
    """The budget itself.

    Raises:
        UserError: too few passes for a start and one circuit.
    """
    return whole(budget, f"the budget of a search among {players}", len(PATH) + 1)


def _sizes(n: int, sizes: Sequence[int]) -> list[int]:
    if not len(sizes):
        return sorted({size for size in (int(share * n) for share in SHARES) if size} | {n})
    return sorted({whole(size, "a size", 1, n) for size in sizes})


class _Slopes:
    """Slopes on all prompts, and on those alone that aren't left out."""

    def __init__(self, asked: RememberingGame, other: RememberingGame) -> None:
        self._asked, self._other = asked, other
        one, two = (getattr(each.game, "task", each.game) for each in (asked, other))
        self.apart = one is not two  # a single prompt chooses and judges
        self.some = Slopes(asked.n_players)
        self.every = Slopes(asked.n_players) if self.apart else self.some

    def take(self, gates: FloatArray, shares: Sequence[float]) -> None:
        """Slopes at these, kept with the shares of players that they stand for."""
        found = [
            game.evaluate(gates, gradients=True, stage="slopes").gradients
            for game in (self._asked, *([self._other] if self.apart else []))
        ]
        self._add([_known(each) for each in found], np.asarray(shares, dtype=np.float64))

    def close_each(self) -> None:
        """What ablating each alone changes, as slopes over the whole of its gate."""
        n = self._asked.n_players
        masks = np.concatenate([_ends(n)[:1], ~np.eye(n, dtype=np.bool_)])
        found = []
        for game in (self._asked, *([self._other] if self.apart else [])):
            values = game.evaluate(masks, stage="single ones").values
            found.append((values[0] - values[1:])[None])
        self._add(found, np.array([1 - 1 / n]), gradients=False)

    def _add(self, found: list[FloatArray], shares: FloatArray, *, gradients: bool = True) -> None:
        self.some.add(found[0], shares, gradients=gradients)
        if self.apart:
            counts = self._asked.game.n_samples, self._other.game.n_samples
            self.every.add(np.average(found, axis=0, weights=counts), shares, gradients=gradients)


def _known(slopes: Any) -> FloatArray:
    if slopes is None:
        raise UserError("circuits of every size are found by the slopes of the metric, and this metric has none")
    return np.stack([np.asarray(slopes[place], dtype=np.float32) for place in range(len(slopes))])


def _run(other: RememberingGame, circuits: list[OneCircuit]) -> list[OneCircuit]:
    found = other.evaluate(masks_of(circuits, other.n_players), stage="circuits on prompts left out").per_prompt
    return [replace(circuit, per_prompt=row) for circuit, row in zip(circuits, found, strict=True)]


def _on_all(asked: RememberingGame, other: RememberingGame, masks: Masks) -> FloatArray:
    """The mean metric of each mask over all prompts, also those that slopes were taken on.

    A circuit that is to be like the model is chosen by few numbers, so that the prompts hardly fit; more are better.
    """
    if not len(masks):
        return np.zeros(0)
    found = [game.evaluate(masks, stage="circuits like the model").per_prompt for game in (asked, other)]
    return np.asarray(np.concatenate(found, axis=1).mean(1))


def _ends(n: int) -> Masks:
    return np.array([[True] * n, [False] * n])


def _value(circuit: SizedCircuit) -> float:
    if circuit.value is None:
        raise ValueError("this circuit was not run")
    return circuit.value


def _shares(circuits: Sequence[SizedCircuit], ends: PerPrompt) -> tuple[float, ...]:
    empty, span = ends[1].mean(), ends[0].mean() - ends[1].mean()
    return tuple(float((_value(each) - empty) / span) for each in circuits)


def _gains(area: float, before: float) -> bool:
    return area > before + GAIN * abs(before)


def _area(circuits: Sequence[SizedCircuit], ends: PerPrompt, n: int) -> float:
    """The area under the shares of the behaviour over the share of players."""
    at = np.array([each.budget / n for each in circuits])
    shares = np.array(_shares(circuits, ends))
    return float(((shares[1:] + shares[:-1]) / 2 * np.diff(at)).sum()) if len(at) > 1 else float(shares[0])
