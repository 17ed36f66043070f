"""Masks are run in chunks, and each chunk is kept in the store as soon as it is finished."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from circuitspex.ablation import Store, store_at
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.typing import FloatArray, Gradients, IntArray, Masks, PerPrompt

Done = Callable[[float], object]


class ChunkedGame(ABC):
    """Plays masks chunk by chunk, with a store; the lenses say how a mask is played.

    ``n_stored`` counts the ablations that were taken from the store, ``n_run`` those that were run.

    Args:
        store: where finished ablations are kept and taken from: a path, a ``Store``, 'auto' (the user's own, in the
            cache folder) or None. An interrupted run goes on where it stopped when it is started again.
    """

    n_changes: int = 0
    """How often what is played was found changed since it was played before, such as a model's weights."""

    def __init__(self, store: Store | str | Path | None = None) -> None:
        self.store = store_at(store)
        self.n_stored = self.n_run = 0
        self._identity: str | None = None

    @property
    @abstractmethod
    def n_players(self) -> int:
        """How many players there are, ``n``."""

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

    def _ready(self) -> AbstractContextManager[None]:
        """Within this, masks are played: what is remembered of a model is that of the model as it is now."""
        return nullcontext()

    def _order(self, gates: FloatArray, gradients: bool) -> IntArray:
        """The rows of ``gates`` in an order in which masks that share work follow each other."""
        return np.arange(len(gates))

    def _chunk(self, gradients: bool) -> int:
        """How many masks are played, and kept, together."""
        return 64

    def _in_chunks(
        self, gates: FloatArray | Masks, gradients: bool, done: Done
    ) -> tuple[PerPrompt, Gradients | HalfMatrix | None]:
        """Values, and gradients, of distinct rows of gates ``(K, n)``: taken from the store, or run and kept there.

        Chunks follow from the request alone, and each is kept whole or not at all: a run that is started again has the
        same batches, and so the same numbers to the last digit. Without a store, and where gradients are not too many
        for double precision, there is one chunk.
        """
        with self._ready():
            return self._played(gates, gradients, done)

    def _played(
        self, gates: FloatArray | Masks, gradients: bool, done: Done
    ) -> tuple[PerPrompt, Gradients | HalfMatrix | None]:
        many = gradients and self.n_players > HALF_FROM
        if self.store is None and not many:
            played = self._play(np.asarray(gates, dtype=np.float64), gradients, done)
            self.n_run += len(gates)
            return played
        values: list[FloatArray] = [np.empty(0)] * len(gates)
        found: Gradients | HalfMatrix | None = None
        if gradients:
            shape = len(gates), self.n_players
            found = HalfMatrix.empty(*shape) if many else np.empty(shape)
        order = self._order(np.asarray(gates), gradients)
        size = self._chunk(gradients)
        for start in range(0, len(order), size):
            rows = [int(place) for place in order[start : start + size]]
            for place, numbers, gradient in self._finished_chunk(gates, rows, gradients, done):
                values[place] = numbers
                if isinstance(found, HalfMatrix):
                    found.fill([place], np.asarray(gradient)[None])
                elif found is not None:
                    found[place] = gradient
        return (np.array(values) if values else np.empty((0, self.n_samples))), found

    def _finished_chunk(
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
            self.store.keep(self._identity, gates[new][whole], played[whole], None if found is None else found[whole])
        self.n_run += len(new)
        for index, place in enumerate(new):
            yield place, played[index], None if found is None else found[index]
