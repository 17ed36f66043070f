"""The two suites: which games there are, and every column fitted on each of them.

A job is one game with all its budgets, whose masks are nested, so that R² over the budget is one curve.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Literal

import numpy as np
from cells import Cell
from columns import Column
from recordings import Recording
from remote import Answer, Worker
from synthetic import Floats, Masks, SyntheticGame, make_game, spread_of
from wire import Arrays

N_HELD_OUT = 2000
NOT_RUN = "not run (no time left)"


@dataclass(frozen=True)
class Data:
    """What decoders are given of one game, and the truth on fresh masks; ``game`` where they may ask for more."""

    masks: Masks
    values: Floats
    gradients: Floats
    fresh: Masks
    truth: Floats
    game: SyntheticGame | None = None
    spread: float = 0.0


@dataclass(frozen=True)
class Fitter:
    """Fits columns with the workers of one thread, and scores them.

    A fit may take ``limit`` seconds, and none is begun after the ``deadline`` (of the monotonic clock).
    """

    workers: dict[str, Worker]
    columns: Sequence[Column]
    limit: float
    deadline: float
    seed: int

    def cells(
        self, about: tuple[str, str, int, str], repeat: int, budgets: Sequence[int], data: Data, given: Sequence[str]
    ) -> list[Cell]:
        """Every column that takes what is ``given``, at every budget; from the first that is too slow on, none."""
        out: list[Cell] = []
        for column in self.columns:
            if column.given not in given or column.key not in self.workers[column.side].keys:
                continue
            slow = ""
            for budget in sorted(budgets):
                answer = Answer(note=slow) if slow else self._fit(column, budget, data)
                if answer.note.startswith("over ") and not slow:
                    slow = f"{answer.note} at {budget}"
                out.append(_cell(about, repeat, budget, column, answer, data.truth))
        return out

    def _fit(self, column: Column, budget: int, data: Data) -> Answer:
        if monotonic() > self.deadline:
            return Answer(note=NOT_RUN)
        header = {"key": column.key, "budget": budget, "seed": self.seed}
        arrays: Arrays = {"fresh": data.fresh}
        if column.given == "game":
            assert data.game is not None
            header |= {"of_signs": data.game.of_signs, "spread": data.spread}
            arrays |= {"members": data.game.members, "weights": data.game.weights}
        else:
            arrays |= {"masks": data.masks[:budget], "values": data.values[:budget]}
            if column.given == "gradients":
                arrays["gradients"] = data.gradients[:budget]
        return self.workers[column.side].fit(header, arrays, self.limit)


@dataclass(frozen=True)
class SyntheticJob:
    """One random game: its family, size and noise. In the suite 'gradients' there are gradients besides the values."""

    suite: Literal["synthetic", "gradients"]
    family: str
    n: int
    noise: str
    repeat: int
    budgets: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"{self.suite} {self.family} n={self.n} {self.noise}"

    @property
    def size(self) -> int:
        return self.n

    def run(self, fitter: Fitter) -> list[Cell]:
        given = ("values", "gradients" if self.suite == "gradients" else "game")
        about = self.suite, self.family, self.n, self.noise
        return fitter.cells(about, self.repeat, self.budgets, self._data(fitter.seed), given)

    def _data(self, seed: int) -> Data:
        kind = zlib.crc32(f"{self.suite} {self.family} {self.noise}".encode())
        rng = np.random.default_rng([seed, kind, self.n, self.repeat])
        game = make_game(self.family, self.n, rng)
        masks = rng.random((max(self.budgets), self.n)) < 0.5
        fresh = rng.random((N_HELD_OUT, self.n)) < 0.5
        values, truth = game.values(masks), game.values(fresh)
        spread = spread_of(self.noise, truth)
        values = values + spread * rng.normal(size=values.shape)
        slopes = np.empty((0, self.n))
        if self.suite == "gradients":  # with noise of their own, at the same ratio
            slopes = game.gradients(masks)
            slopes = slopes + spread_of(self.noise, slopes) * rng.normal(size=slopes.shape)
        return Data(masks, values, slopes, fresh, truth, game, spread)


@dataclass(frozen=True)
class RecordedJob:
    """One recorded game, decoded at each budget as far as it was recorded."""

    name: str
    recording: Recording
    budgets: tuple[int, ...]
    gradient_budgets: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.recording.masks)

    def run(self, fitter: Fitter) -> list[Cell]:
        stored = self.recording
        data = Data(stored.masks, stored.values, stored.gradients, stored.test_masks, stored.test_values)
        about = "recorded", self.name, stored.masks.shape[1], "none"
        plain = [b for b in {*self.budgets, *self.gradient_budgets} if b <= len(stored.masks)]
        slopes = [b for b in self.gradient_budgets if b <= len(stored.gradients)]
        return fitter.cells(about, 0, plain, data, ("values",)) + fitter.cells(about, 0, slopes, data, ("gradients",))


def _cell(
    about: tuple[str, str, int, str], repeat: int, budget: int, column: Column, answer: Answer, truth: Floats
) -> Cell:
    if answer.predicted is None:
        return Cell(*about, budget, repeat, column.key, None, note=answer.note)
    r2 = float(1 - ((truth - answer.predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())
    estimate = answer.estimate or (None, None, None)
    return Cell(*about, budget, repeat, column.key, r2, answer.seconds, answer.cpu, answer.used, *estimate)
