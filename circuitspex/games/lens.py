"""What all lenses share: each distinct mask is played once, what is finished is kept, and progress is shown."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tqdm.auto import tqdm

from circuitspex.ablation import Store, store_at
from circuitspex.checks import check_gates_or_masks, distinct_rows
from circuitspex.games.run import Run
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.typing import FloatArray, Gradients, IntArray, Masks, PerPrompt, Values

Done = Callable[[float], object]


class LensGame(ABC):
    """A game with names, a store and a progress bar; the lenses say how a mask is played.

    ``n_stored`` counts the ablations that were taken from the store, ``n_run`` those that were run.

    Args:
        store: where finished ablations are kept and taken from: a path, a ``Store``, 'auto' (the user's own, in the
            cache folder) or None. An interrupted run goes on where it stopped when it is started again.
    """

    lens: ClassVar[str] = "game"
    """What is ablated, in a word; it is written into ``circuit.json``."""

    def __init__(self, store: Store | str | Path | None = None) -> None:
        self.store = store_at(store)
        self.n_stored = self.n_run = 0
        self._identity: str | None = None

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What the players are called, in the order of the masks' columns; all different."""

    @property
    @abstractmethod
    def n_samples(self) -> int:
        """How many numbers a mask gives, ``P``: one a prompt, or one a training seed. Their mean is the value."""

    @abstractmethod
    def _play(self, gates: FloatArray, gradients: bool, done: Done) -> tuple[PerPrompt, Gradients | None]:
        """Play distinct rows of gates ``(K, n)``: ``(K, P)`` numbers, and d value / d gate ``(K, n)`` where asked for.

        ``done`` is called with the number of masks finished since the last call.
        """

    @abstractmethod
    def _facts(self) -> dict[str, Any]:
        """All that a value depends on, as JSON: two games with the same facts have the same values."""

    def _about(self) -> dict[str, Any]:
        """What else people want to know of a stored run: ``model``, ``task_name``, ``metric``, ``selector``, …"""
        return {}

    def _order(self, gates: FloatArray, gradients: bool) -> IntArray:
        """The rows of ``gates`` in an order in which masks that share work follow each other."""
        return np.arange(len(gates))

    def _chunk(self, gradients: bool) -> int:
        """How many masks are played, and kept, together."""
        return 64

    @property
    def n_players(self) -> int:
        """How many players there are, ``n``."""
        return len(self.names)

    @property
    def executor(self) -> str:
        """How masks are played, for people."""
        return self.lens

    def part(self, index: int) -> tuple[int, str]:
        """The layer and the kind of a player, as a node of a graph has them; without layers, all are in layer 0."""
        return 0, "player"

    def describe(self) -> dict[str, Mapping[str, Any]]:
        """What ``circuit.json`` says of the ``model``, the ``task`` and the ``run`` besides what every search says."""
        return {}

    def __call__(self, masks: Masks) -> Values:
        """The value of each mask: bool ``(K, n)`` in, float ``(K,)`` out."""
        return self.evaluate(masks, progress=False).values

    def evaluate(
        self,
        masks: Masks | FloatArray,
        *,
        gradients: bool = False,
        progress: bool | None = None,
        label: str = "ablating",
    ) -> Run:
        """Play each mask; a mask that occurs twice is played once.

        Args:
            masks: bool ``(K, n)``, True = kept. Floats in [0, 1] are gates between ablated and kept, where the lens
                has them.
            gradients: also d value / d gate ``(K, n)``, at the price of a backward pass. With more than 2,500 players
                they come chunk by chunk and are kept in half precision (``HalfMatrix``).
            progress: a progress bar; by default where standard error is a terminal.
            label: what the bar says.

        Raises:
            UserError: masks of another shape, gates outside [0, 1], or gradients that can't be had.
            TaskError: the metric gave NaN, an infinity or a wrong shape.
        """
        gates = check_gates_or_masks(masks, self.n_players)
        unique, back = distinct_rows(gates)
        started = time.perf_counter()
        with tqdm(
            total=len(unique),
            desc=f"{label} ({self._bar_word()})",
            unit="ablation",
            disable=None if progress is None else not progress,
            leave=False,
        ) as bar:
            per_prompt, slopes = self._finished(unique, gradients, bar.update)
        return Run(
            masks=np.asarray(gates, dtype=np.bool_) if gates.dtype == np.bool_ else np.asarray(gates == 1),
            per_prompt=per_prompt[back],
            gradients=None if slopes is None else slopes[back],
            seconds=time.perf_counter() - started,
        )

    def _bar_word(self) -> str:
        return self.lens

    def _finished(
        self, gates: FloatArray | Masks, gradients: bool, done: Done
    ) -> tuple[PerPrompt, Gradients | HalfMatrix | None]:
        """Values, and gradients, of distinct rows of gates: taken from the store, or run and kept there.

        What is run goes in chunks that follow from the request alone, and each is kept whole or not at all: a run that
        is started again has the same batches, and so the same numbers to the last digit.
        """
        many = gradients and self.n_players > HALF_FROM
        if self.store is None and not many:
            self.n_run += len(gates)
            return self._play(np.asarray(gates, dtype=np.float64), gradients, done)
        values: list[FloatArray] = [np.empty(0)] * len(gates)
        slopes: Gradients | HalfMatrix | None = None
        if gradients:
            shape = len(gates), self.n_players
            slopes = HalfMatrix.empty(*shape) if many else np.empty(shape)
        order = self._order(np.asarray(gates), gradients)
        size = self._chunk(gradients)
        for start in range(0, len(order), size):
            rows = [int(place) for place in order[start : start + size]]
            for place, numbers, slope in self._chunk_finished(gates, rows, gradients, done):
                values[place] = numbers
                if isinstance(slopes, HalfMatrix):
                    slopes.fill([place], np.asarray(slope)[None])
                elif slopes is not None:
                    slopes[place] = slope
        return (np.array(values) if values else np.empty((0, self.n_samples))), slopes

    def _chunk_finished(
        self, gates: FloatArray | Masks, rows: list[int], gradients: bool, done: Done
    ) -> Iterator[tuple[int, FloatArray, FloatArray | None]]:
        """The place, the values and the gradient of each of these rows, in any order."""
        kept: set[int] = set()
        if self.store is not None:
            if self._identity is None:
                self._identity = self.store.game(self._facts(), self._about())
            for index, (numbers, gradient) in self.store.find(self._identity, gates[rows], gradients=gradients).items():
                kept.add(rows[index])
                yield rows[index], numbers, gradient
            self.n_stored += len(kept)
            done(len(kept))
        new = [place for place in rows if place not in kept]
        if not new:
            return
        played, found = self._play(gates[new].astype(np.float64), gradients, done)
        if found is not None and self.n_players > HALF_FROM:
            found = np.asarray(HalfMatrix.of(found), dtype=np.float64)  # what is kept is what is given
        if self.store is not None and self._identity is not None:
            whole = np.isfinite(played).all(axis=1)  # what failed is run again when it is asked for again
            slopes = None if found is None else found[whole]
            self.store.keep(self._identity, gates[new][whole], played[whole], slopes)
        self.n_run += len(new)
        for index, place in enumerate(new):
            yield place, played[index], None if found is None else found[index]
