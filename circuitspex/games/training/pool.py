"""Trainings by a function of the user's own, in a pool of processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitspex.errors import UserError
from circuitspex.processes import Workers, check_sendable
from circuitspex.scale import MOST, whole
from circuitspex.typing import FloatArray, Masks


@dataclass(frozen=True)
class TrainFunction:
    """A training that is a function of the user's own, for ``TrainingGame``.

    Args:
        train: ``train(mask)`` trains on what a mask over the players, bool ``(n,)``, keeps, and gives a number, or one
            for each test example. With several seeds it is called as ``train(mask, seed)``.
        n_values: how many numbers it gives.
        workers: processes to train in, with one thread each; by default one for each core. 0 trains in this process.
        retries: how often a run that raises or gives NaN or an infinity is tried again.
        seeded: call ``train(mask, seed)`` also where there is one seed.
        name: names the function for the store; without one there is none, since what it computes can't be known.

    Raises:
        UserError: a function that other processes can't find, or numbers out of range.
    """

    train: Callable[..., Any]
    n_values: int = 1
    workers: int | None = None
    retries: int = 1
    seeded: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.train):
            raise UserError(f"train must be a function of a mask, not {type(self.train).__name__}")
        for name, value, least in (("n_values", self.n_values, 1), ("retries", self.retries, 0)):
            whole(value, name, least, MOST)
        if self.workers is not None:
            whole(self.workers, "workers", 0, MOST)
        if self.n_workers > 0:
            check_sendable(self.train)

    @property
    def n_workers(self) -> int:
        """How many processes train; 0 for none but this one."""
        return (os.cpu_count() or 1) if self.workers is None else self.workers


Failure = dict[int, str]
"""What went wrong, by row of the masks."""


def train_each(
    function: TrainFunction,
    workers: Workers,
    masks: Masks,
    seeds: tuple[int, ...],
    done: Callable[[float], object],
) -> tuple[FloatArray, Failure]:
    """Every seed under every mask.

    Args:
        function: what trains.
        workers: the processes in which it trains.
        masks: bool ``(K, n)``.
        seeds: the seeds of each mask.
        done: called with the share of a mask that was finished.

    Returns:
        ``(K, S, V)``, seeds and values, NaN in the rows that failed; and what went wrong in those.
    """
    seeded = function.seeded or len(seeds) > 1
    calls = [(row, place) for row in range(len(masks)) for place in range(len(seeds))]
    values = np.full((len(masks), len(seeds), function.n_values), np.nan)
    failed: dict[tuple[int, int], str] = {}
    for attempt in range(function.retries + 1):
        arguments = [(masks[row].copy(), seeds[place]) if seeded else (masks[row].copy(),) for row, place in calls]
        failed = {}
        for index, found, error in workers.run(arguments):
            if error is None and len(found) != function.n_values:
                error = f"gave {len(found)} values, not {function.n_values}"
            if error is None:
                values[calls[index]] = found
            else:
                failed[calls[index]] = error
            if error is None or attempt == function.retries:
                done(1 / len(seeds))
        if not failed:
            break
        calls = sorted(failed)
    failures: Failure = {}
    for (row, place), error in sorted(failed.items()):
        failures.setdefault(row, f"{error} (seed {seeds[place]})" if seeded else error)
    return values, failures
