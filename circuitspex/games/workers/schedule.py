"""Which worker runs which chunk. Nothing here knows of Ray or of time, so that it can be simulated and tested alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Any


class Schedule:
    """Chunks ``0 … n_chunks - 1``, each to be run by some worker.

    A chunk whose worker is lost goes to the front of the queue and to another worker, where there is another; when it
    has cost more than ``retries`` workers it is given up, and the other chunks go on.

    Args:
        n_chunks: how many there are.
        retries: how often a chunk is tried again.
    """

    def __init__(self, n_chunks: int, retries: int = 2) -> None:
        self.retries = retries
        self.failed: dict[int, str] = {}
        """What the last worker of each chunk that was given up was lost to."""
        self.running: dict[Any, int] = {}
        self.idle: list[Any] = []
        self._waiting = deque(range(n_chunks))
        self._losses: dict[int, int] = {}
        self._tried: dict[int, set[Hashable]] = {}

    @property
    def over(self) -> bool:
        """Whether every chunk is finished or given up."""
        return not self._waiting and not self.running

    def joined(self, worker: Any) -> None:
        """A worker is there: at the start, later, or in another's place."""
        self.idle.append(worker)

    def assigned(self) -> Iterator[tuple[Any, int]]:
        """Workers that have nothing to do, each with the chunk that it runs from now on."""
        while self.idle and self._waiting:
            worker, chunk = self._pair()
            self.idle.remove(worker)
            self._waiting.remove(chunk)
            self.running[worker] = chunk
            self._tried.setdefault(chunk, set()).add(worker)
            yield worker, chunk

    def _pair(self) -> tuple[Any, int]:
        """A chunk and a worker that has not failed at it; any, where every worker has."""
        for chunk in self._waiting:
            if chunk not in self._losses:
                return self.idle[0], chunk
            for worker in self.idle:
                if worker not in self._tried[chunk]:
                    return worker, chunk
        return self.idle[0], self._waiting[0]

    def finished(self, worker: Any) -> int:
        """The worker has run its chunk, which this is, and is free."""
        chunk = self.running.pop(worker)
        self.idle.append(worker)
        return chunk

    def lost(self, worker: Any, why: str, *, gone: bool = True) -> int | None:
        """The worker was lost with its chunk, which is run again; or only the chunk was, and the worker is free.

        Returns:
            The chunk, or None where it had none.
        """
        chunk = self.running.pop(worker, None)
        if gone:
            self._leave(worker)
        else:
            self.idle.append(worker)
        if chunk is None:
            return None
        self._losses[chunk] = self._losses.get(chunk, 0) + 1
        if self._losses[chunk] > self.retries:
            self.failed[chunk] = why
        else:
            self._waiting.appendleft(chunk)
        return chunk

    def refused(self, worker: Any) -> None:
        """The worker may run nothing, and what it has was none of its fault."""
        chunk = self.running.pop(worker, None)
        self._leave(worker)
        if chunk is not None:
            self._waiting.appendleft(chunk)

    def _leave(self, worker: Any) -> None:
        if worker in self.idle:
            self.idle.remove(worker)
