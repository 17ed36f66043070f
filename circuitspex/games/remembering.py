"""The game that every stage of a search asks: each mask is run once, and remembered for whoever asks again.

A search decodes, refines, scores, measures, directs and verifies, and all of these may need the same masks. They ask
one ``RememberingGame``, which runs only what it does not know yet, counts for each stage what was asked for and what
was run, and shows the progress. What is new goes to the game in one call, "these masks, with or without gradients, in
chunks" (``ChunkedGame._in_chunks``), which takes from the store what an earlier process has finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from circuitspex.checks import check_gates_or_masks, distinct_rows
from circuitspex.errors import NoGradientError, UserError
from circuitspex.games.run import Run
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.typing import FloatArray, Masks, PerPrompt, Values

DECODING = "ablations to decode"
"""The stage that asks where none is named."""

_Row = FloatArray | tuple[NDArray[np.float16], np.int32]  # a gradient, or one in half precision


@dataclass
class StageCount:
    """What a stage cost.

    ``asked`` is the number of different masks that it asked for, ``run`` how many of these no earlier stage had run,
    ``with_gradients`` how many of these with a backward pass.
    """

    asked: int = 0
    run: int = 0
    with_gradients: int = 0


class RememberingGame:
    """A game whose masks are run once.

    A mask that was run without its gradient may run once more for it; one that was run with it never again. Masks are
    compared bit by bit, gates between 0 and 1 number by number. ``counts`` has a ``StageCount`` for each stage.

    Args:
        game: what is run; for another task (held-out prompts) ``on`` gives a game with a memory of its own.
        progress: progress bars; None shows them where standard error is a terminal.
    """

    def __init__(self, game: Any, progress: bool | None = None) -> None:
        self.game: Any = game
        self.progress = progress
        self.counts: dict[str, StageCount] = {}
        self._asked: dict[str, set[bytes]] = {}
        self._values: dict[bytes, FloatArray] = {}
        self._gradients: dict[bytes, _Row] = {}
        self._patched: dict[tuple[bytes, int, int], FloatArray] = {}
        self._changes: int | None = None

    @classmethod
    def of(cls, game: Any, progress: bool | None = None) -> RememberingGame:
        """The game itself where it remembers already; any other with nothing known yet."""
        return game if isinstance(game, cls) else cls(game, progress)

    @property
    def n_players(self) -> int:
        """How many components, or other players, there are: ``n``."""
        return int(self.game.n_players)

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple(self.game.names)

    def __len__(self) -> int:
        """How many different masks are known."""
        return len(self._values)

    def __call__(self, masks: Masks) -> Values:
        """The value of each mask: bool ``(K, n)`` in, True = kept; float ``(K,)`` out."""
        return self.evaluate(masks).values

    def on(self, task: Any) -> RememberingGame:
        """The same components on other prompts, with nothing known yet."""
        return RememberingGame(self.game.on(task), self.progress)

    def stage(self, name: str) -> Callable[[Masks], PerPrompt]:
        """A function from masks ``(K, n)`` to the metric ``(K, P)`` that counts under this stage's name."""
        return lambda masks: self.evaluate(masks, stage=name).per_prompt

    def evaluate(self, masks: Masks | FloatArray, *, gradients: bool | None = False, stage: str = DECODING) -> Run:
        """The results of the masks, in their order; only what is not known is run.

        Args:
            masks: bool ``(K, n)``, True = kept; floats in [0, 1] are gates, where the game has them.
            gradients: also d value / d gate ``(K, n)``; None gives them where the game has them.
            stage: who asks, in words that the progress bar shows and ``counts`` keeps.

        Raises:
            UserError: masks of another shape, gates outside [0, 1], a game that gives other numbers than before, or a
                model that was changed in between.
            NoGradientError: ``gradients`` is True and the game has none.
        """
        gates = check_gates_or_masks(masks, self.n_players)
        unique, back = distinct_rows(gates)
        keys = _keys(unique)
        started = time.perf_counter()
        with_gradients = self._run_new(unique, keys, gradients, stage)
        found = [self._values[key] for key in keys]
        per_prompt = np.stack(found) if found else np.empty((0, self.game.n_samples))
        rows = [self._gradients[key] for key in keys] if with_gradients else None
        return Run(
            masks=np.asarray(gates, dtype=np.bool_) if gates.dtype == np.bool_ else np.asarray(gates == 1),
            per_prompt=per_prompt[back],
            gradients=None if rows is None else _matrix(rows, self.n_players)[back],
            seconds=time.perf_counter() - started,
        )

    def known(self, mask: Masks) -> float | None:
        """The value of one mask ``(n,)`` where it has been run, else None; nothing is run."""
        found = self._values.get(_keys(np.asarray(mask, dtype=np.bool_)[None])[0])
        return None if found is None else float(np.mean(found))

    def patched(self, masks: Masks, source: int, target: int, *, stage: str = "path patching") -> PerPrompt:
        """The metric of each prompt when one component sees what it would see without an earlier one, ``(K, P)``.

        See ``ComponentGame.patched``.
        """
        keys = [(key, source, target) for key in _keys(np.asarray(masks, dtype=np.bool_))]
        new = {key: row for key, row in zip(keys, masks, strict=True) if key not in self._patched}
        if new:
            found = self.game.patched(np.array(list(new.values())), source, target, progress=self.progress, label=stage)
            self._check_unchanged()
            self._patched |= dict(zip(new, found, strict=True))
        return np.array([self._patched[key] for key in keys])

    def _check_unchanged(self) -> None:
        """What was run before and what was run now must be of the same model."""
        changes = int(getattr(self.game, "n_changes", 0))
        if self._values and self._changes is not None and changes != self._changes:
            raise UserError(
                "the model was changed (its weights, buffers, attributes or hooks) since the search began; values of "
                "before and after can't be used together: start again"
            )
        self._changes = changes

    def _run_new(self, gates: Any, keys: list[bytes], gradients: bool | None, stage: str) -> bool:
        """Run those of these distinct rows that are not known; say whether there are gradients of all."""
        wanted = gradients is not False
        known = self._gradients if wanted else self._values
        new = [place for place, key in enumerate(keys) if key not in known]
        asked, count = self._asked.setdefault(stage, set()), self.counts.setdefault(stage, StageCount())
        asked.update(keys)
        count.asked = len(asked)
        if not new and (keys or not wanted):
            return wanted
        try:
            self._run([keys[place] for place in new], gates[new], wanted, stage)
        except NoGradientError:
            if gradients:
                raise
            return self._run_new(gates, keys, False, stage)
        count.run += len(new)
        count.with_gradients += len(new) if wanted else 0
        return wanted

    def _advance(self, bar: Any) -> Callable[[float], object]:
        """What moves the bar on; with workers it says how fast each is."""
        workers = getattr(self.game, "workers", None)
        if workers is None or bar.disable:
            return cast("Callable[[float], object]", bar.update)

        def advance(count: float) -> None:
            bar.set_postfix_str(workers.said, refresh=False)
            bar.update(count)

        return advance

    def _run(self, keys: list[bytes], gates: Any, gradients: bool, stage: str) -> None:
        with tqdm(
            total=len(gates),
            desc=f"{stage} ({self.game._bar_word()})",
            unit="ablation",
            disable=None if self.progress is None else not self.progress,
            leave=False,
        ) as bar:
            per_prompt, found = self.game._in_chunks(gates, gradients, self._advance(bar))
        self._check_unchanged()
        before = next(iter(self._values.values()), None)
        if before is not None and len(keys) and per_prompt.shape[1] != len(before):
            raise UserError(f"the game gave {per_prompt.shape[1]} numbers a mask, and {len(before)} before")
        for place, key in enumerate(keys):
            self._values.setdefault(key, per_prompt[place])
            if isinstance(found, HalfMatrix):
                self._gradients[key] = found.halves[place], found.exponents[place]
            elif found is not None:
                self._gradients[key] = found[place]


def _keys(gates: FloatArray | Masks) -> list[bytes]:
    """What tells rows apart; gates that are all 0 or 1 are masks."""
    if gates.dtype == np.bool_:
        return [row.tobytes() for row in np.packbits(gates.astype(np.bool_, copy=False), axis=1)]
    whole = ((gates == 0) | (gates == 1)).all(axis=1)
    packed: Any = np.packbits(gates == 1, axis=1)
    return [packed[i].tobytes() if whole[i] else b"gates" + row.tobytes() for i, row in enumerate(gates)]


def _matrix(rows: list[_Row], n_players: int) -> Any:
    """The gradients ``(K, n)``; in half precision where there are many players."""
    if not rows:
        return HalfMatrix.empty(0, n_players) if n_players > HALF_FROM else np.empty((0, n_players))
    if isinstance(rows[0], tuple):
        halves, exponents = zip(*rows, strict=True)
        return HalfMatrix(np.stack(halves), np.array(exponents, dtype=np.int32))
    return np.stack(rows)
