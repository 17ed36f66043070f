"""Masks are run in chunks, and each chunk is kept in the store as soon as it is finished."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np

from circuitspex.ablation import Store, store_at
from circuitspex.games.workers.crew import LostError
from circuitspex.games.workers.ray_workers import RayWorkers, packed
from circuitspex.games.workers.recipe import Recipe
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.typing import FloatArray, Gradients, IntArray, Masks, PerPrompt

Done = Callable[[float], object]
_Row = tuple[int, FloatArray, FloatArray | None]


class ChunkedGame(ABC):
    """Plays masks chunk by chunk, with a store; the lenses say how a mask is played.

    ``n_stored`` counts the ablations that were taken from the store, ``n_run`` those that were run.

    Args:
        store: where finished ablations are kept and taken from: a path, a ``Store``, 'auto' (the user's own, in the
            cache folder) or None. An interrupted run goes on where it stopped when it is started again.
    """

    workers: RayWorkers | None = None
    """Processes that play the masks in this one's place."""

    n_changes: int = 0
    """How often what is played was found changed since it was played before, such as a model's weights."""

    def __init__(self, store: Store | str | Path | None = None) -> None:
        self.store = store_at(store)
        self.n_stored = self.n_run = 0
        self._identity: str | None = None
        self._given_out: tuple[Recipe, dict[str, Any]] | None = None

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
        if self.store is None and not many and self.workers is None:
            played = self._play(np.asarray(gates, dtype=np.float64), gradients, done)
            self.n_run += len(gates)
            return played
        values: list[FloatArray] = [np.empty(0)] * len(gates)
        found: Gradients | HalfMatrix | None = None
        if gradients:
            shape = len(gates), self.n_players
            found = HalfMatrix.empty(*shape) if many else np.empty(shape)
        for place, numbers, gradient in self._finished(gates, gradients, done):
            values[place] = numbers
            if isinstance(found, HalfMatrix):
                found.fill([place], np.asarray(gradient)[None])
            elif found is not None:
                found[place] = gradient
        return (np.array(values) if values else np.empty((0, self.n_samples))), found

    def _finished(self, gates: FloatArray | Masks, gradients: bool, done: Done) -> Iterator[_Row]:
        """The place, the values and the gradient of each of these rows, in any order."""
        order = self._order(np.asarray(gates), gradients)
        size = self._chunk(gradients)
        if self.workers is not None:
            size = self._size_elsewhere(self.workers, size)
        chunks = []
        for start in range(0, len(order), size):
            rows = [int(place) for place in order[start : start + size]]
            kept: set[int] = set()
            for place, numbers, gradient in self._kept(gates[rows], rows, gradients):
                kept.add(place)
                yield place, numbers, gradient
            done(len(kept))
            new = [place for place in rows if place not in kept]
            if new and self.workers is None:
                played, found = self._play(gates[new].astype(np.float64), gradients, done)
                yield from self._keep(gates[new], new, played, packed(found, self.n_players))
            elif new:
                chunks.append(new)
        if chunks and self.workers is not None:
            yield from self._elsewhere(self.workers, gates, chunks, gradients, done)

    def _elsewhere(
        self, workers: RayWorkers, gates: FloatArray | Masks, chunks: list[list[int]], gradients: bool, done: Done
    ) -> Iterator[_Row]:
        """The same, of chunks that workers play."""
        recipe, facts = self._handed(workers)
        asked = [(gates[rows].astype(np.float64), gradients) for rows in chunks]
        try:
            for index, (played, found, notes) in workers.played(recipe, facts, asked):
                rows = chunks[index]
                self._arrived(played, notes)
                yield from self._keep(gates[rows], rows, played, found)
                done(len(rows))
        except LostError as error:
            for index, why in error.failed.items():
                rows = chunks[index]
                played = self._lost(gates[rows].astype(np.float64), why)
                if played is None:
                    raise
                slopes = np.full((len(rows), self.n_players), np.nan) if gradients else None
                yield from self._keep(gates[rows], rows, played, slopes)

    def _kept(self, gates: FloatArray | Masks, rows: list[int], gradients: bool) -> Iterator[_Row]:
        """What the store has of these rows."""
        if self.store is None:
            return
        if self._identity is None:
            facts = self._facts() if self.workers is None else self._handed(self.workers)[1]
            self._identity = self.store.game(facts, self._about())
        found = self.store.find(self._identity, gates, gradients=gradients)
        self.n_stored += len(found)
        for index, (numbers, gradient) in found.items():
            yield rows[index], numbers, gradient

    def _keep(self, gates: FloatArray | Masks, rows: list[int], played: PerPrompt, found: Any) -> Iterator[_Row]:
        """Keep what was run, whole, and give it row by row."""
        slopes = None if found is None else np.asarray(found, dtype=np.float64)  # what is kept is what is given
        if self.store is not None and self._identity is not None:
            whole = np.isfinite(played).all(axis=1)  # what failed is run again when it is asked for again
            self.store.keep(self._identity, gates[whole], played[whole], None if slopes is None else slopes[whole])
        self.n_run += len(rows)
        for index, place in enumerate(rows):
            yield place, played[index], None if slopes is None else slopes[index]

    def _recipe(self) -> Recipe:
        """How a worker makes this game; by default it is sent a copy."""
        return Recipe(_itself, (self._copy(),), facts=self._facts(), name="the game")

    def _copy(self) -> Self:
        """The game without what belongs to this process."""
        other = copy.copy(self)
        other.store = other.workers = other._given_out = None
        return other

    def _size_elsewhere(self, workers: RayWorkers, own: int) -> int:
        """How many masks a worker plays at once, where ``own`` are played here."""
        return workers.size(own)

    def _handed(self, workers: RayWorkers) -> tuple[Recipe, dict[str, Any]]:
        """The recipe that workers have of the game as it is now, and the facts of what they make of it."""
        if self._given_out is None:
            recipe = self._recipe()
            self._given_out = recipe, workers.facts(recipe, self._facts())
        return self._given_out

    def _played_for_driver(self, gates: FloatArray, gradients: bool) -> tuple[PerPrompt, Any, Any]:
        """In a worker: a chunk of masks, played; and what else the driver's game wants to know of it."""
        played, found = self._play(gates, gradients, lambda _: None)
        return played, packed(found, self.n_players), self._notes()

    def _notes(self) -> Any:
        """In a worker: what the driver's game wants to know besides the numbers of a chunk."""
        return None

    def _arrived(self, played: PerPrompt, notes: Any) -> None:
        """A worker's chunk has come, with these notes."""
        assert notes is None, type(self).__name__

    def _lost(self, gates: FloatArray, why: str) -> PerPrompt | None:
        """What a chunk that no worker came back from has given; None where that is an error."""
        return None


def _itself(game: ChunkedGame) -> ChunkedGame:
    return game
