"""The ablations of one search: each mask is run once, however often it is asked for."""

from __future__ import annotations

import numpy as np

from circuitspex.errors import NoGradientError
from circuitspex.games import LensGame, Run
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.typing import Gradients, Masks, Values


class Ablations:
    """A game that remembers what it has run, with gradients where they are wanted and the metric has them.

    Args:
        game: what is run.
        gradients: whether to ask for gradients.
        required: whether a metric without gradients is an error; otherwise values alone are gathered.
        progress: progress bars; None shows them where standard error is a terminal.
    """

    def __init__(
        self, game: LensGame, *, gradients: bool, required: bool = False, progress: bool | None = None
    ) -> None:
        self.game = game
        self.gradients = gradients
        self.required = required
        self.progress = progress
        self.label = "ablations to decode"
        self._runs: list[Run] = []
        self._place: dict[bytes, tuple[int, int]] = {}

    @property
    def n_players(self) -> int:
        """How many components there are, ``n``."""
        return self.game.n_players

    def __len__(self) -> int:
        """How many distinct masks have been run."""
        return len(self._place)

    def __call__(self, masks: Masks) -> Values:
        """The value of each mask: bool ``(K, n)`` in, True = kept; float ``(K,)`` out."""
        return self.evaluate(masks).values

    def evaluate(self, masks: Masks, *, gradients: bool | None = None) -> Run:
        """The results of the masks, in their order; only those not seen before are run.

        ``gradients`` is there so that this is a game like others; what is gathered was said once, at the start.

        Raises:
            NoGradientError: gradients are required and the metric has none.
        """
        keys = [row.tobytes() for row in np.packbits(masks, axis=1)]
        new = {key: place for place, key in reversed(list(enumerate(keys))) if key not in self._place}
        rows = sorted(new.values())
        if rows:
            run = self._run(masks[rows])
            self._place |= {keys[row]: (len(self._runs), i) for i, row in enumerate(rows)}
            self._runs.append(run)
            if len(rows) == len(masks):
                return run
        picked = [self._place[key] for key in keys]
        return Run(
            masks=np.asarray(masks, dtype=bool),
            per_prompt=np.array([self._runs[i].per_prompt[row] for i, row in picked]),
            gradients=self._picked_slopes(picked) if self.gradients else None,
            seconds=sum(run.seconds for run in self._runs),
        )

    def _run(self, masks: Masks) -> Run:
        try:
            return self.game.evaluate(masks, gradients=self.gradients, progress=self.progress, label=self.label)
        except NoGradientError:
            if self.required:
                raise
            self.gradients = False
            return self.game.evaluate(masks, progress=self.progress, label=self.label)

    def _picked_slopes(self, picked: list[tuple[int, int]]) -> Gradients | HalfMatrix:
        if self.n_players <= HALF_FROM:
            return np.array([self._slopes(i)[row] for i, row in picked])
        out = HalfMatrix.empty(len(picked), self.n_players)
        for place, (i, row) in enumerate(picked):
            out.fill([place], np.asarray(self._slopes(i)[row])[None])
        return out

    def _slopes(self, index: int) -> Gradients | HalfMatrix:
        slopes = self._runs[index].gradients
        if slopes is None:
            raise NoGradientError("a part of the ablations has no gradients")
        return slopes


def unseen(masks: Masks, seen: Masks) -> Masks:
    """The distinct masks that are not among those seen; matters where there are few components."""
    known = {row.tobytes() for row in seen}
    fresh = [row for row in dict.fromkeys(row.tobytes() for row in masks) if row not in known]
    return np.array([np.frombuffer(row, dtype=bool) for row in fresh]).reshape(len(fresh), masks.shape[1])
