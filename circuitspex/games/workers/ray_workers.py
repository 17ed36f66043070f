"""``RayWorkers``: processes on this machine or many, which play a game's masks chunk by chunk."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from circuitspex.errors import UserError
from circuitspex.games.workers.cluster import check_address, check_ray, check_room, connect, machines, room
from circuitspex.games.workers.crew import Crew, Job
from circuitspex.games.workers.recipe import FREE, Recipe, different
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.scale import MOST, number, whole

CHUNK = 8
"""Masks that a worker is given at once, by default."""


class RayWorkers:
    """Processes that Ray starts on this machine or a cluster, for ``workers=…`` of searches and games.

    Each loads the model itself from where ``load_model`` had it from (weights are never sent) and plays chunks of
    masks. What a chunk holds follows from the request alone, so any number of workers gives the same numbers. A chunk
    whose worker dies is run by another, and a new worker is started in the place of the dead one. Workers for which
    there is no room yet join when there is.

    Args:
        address: 'local:4' starts Ray on this machine with room for 4 workers; 'auto' is the cluster that runs on this
            machine (or ``$RAY_ADDRESS``); 'HOST:PORT' or 'ray://HOST:10001' another. None is the cluster that this
            process is connected to; where there is none, as ``ray.init`` has it: ``$RAY_ADDRESS``, or one started here.
        n: how many workers; by default as many as there is room for.
        cpus: cores of each, which are also its threads.
        gpus: GPUs of each; by default 1 where the cluster has GPUs, else none. A share such as 0.5 puts two workers on
            one GPU. With more than 1 the model is spread over the GPUs of one machine, as ``device_map`` says.
        least: so many must fit now, by default all ``n``; with fewer, the rest may join later.
        chunk: masks that a worker is given at once; by default 8, or what memory allows where that is less. A dead
            worker costs one chunk.
        retries: how often a chunk whose worker was lost is tried again, before it is given up.
        device_map: how a model is spread over several GPUs, as in transformers.
        patience: seconds to wait for the first worker.
        ray: further arguments of ``ray.init`` (``runtime_env``, ``object_store_memory``, …).

    Use it in a ``with`` block, or call ``close``; both end the processes, and Ray where it was started here.

    Raises:
        UserError: Ray is not installed, there is no cluster at the address, or more was asked for than it has.
    """

    def __init__(
        self,
        address: str | None = None,
        n: int | None = None,
        *,
        cpus: float = 1,
        gpus: float | None = None,
        least: int | None = None,
        chunk: int | None = None,
        retries: int = 2,
        device_map: str | Mapping[str, Any] = "auto",
        patience: float = 600.0,
        ray: Mapping[str, Any] | None = None,
    ) -> None:
        self._closed = False
        n_local = check_address(address)
        n = n if n is None else whole(n, "n", 1, MOST)
        least = n if least is None else whole(least, "least", 1, MOST)
        self.chunk = None if chunk is None else whole(chunk, "chunk", 1, MOST)
        retries = whole(retries, "retries", 0, MOST)
        for name, value, lowest in (("cpus", cpus, 0), ("gpus", gpus or 0, 0), ("patience", patience, 0)):
            number(value, name, lowest)
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise UserError(f"gpus must be a whole number, or a share of one GPU below 1, not {gpus}")
        _check_some(cpus, gpus)
        if ray is not None and not (isinstance(ray, Mapping) and all(isinstance(each, str) for each in ray)):
            raise UserError(f"ray must be further arguments of ray.init by name, not {str(ray)[:40]!r}")
        check_ray()
        self._started_ray = connect(address, {} if ray is None else ray, cpus)
        try:
            found = machines()
            if gpus is None:
                n_gpus = sum(machine["gpus"] for machine in found)
                gpus = 1.0 if n_gpus and n_local is None else min(1.0, int(1e4 * n_gpus / (n_local or 1)) / 1e4)
            _check_some(cpus, gpus)
            check_room(found, 1 if least is None else least, cpus, gpus)
            self.n = n or n_local or room(found, cpus, gpus)
            self.cpus, self.gpus, self.address = float(cpus), float(gpus), address
            path = sys.path if {machine["name"] for machine in found} == {platform.node()} else ()
            self._crew = Crew(self.n, cpus, gpus, device_map, retries=retries, patience=patience, path=path)
        except BaseException:
            self._disconnect()
            raise

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, and Ray where it was started here; a second call does nothing."""
        self._crew.close()
        self._disconnect()
        self._closed = True

    def _disconnect(self) -> None:
        if self._started_ray:
            import ray

            ray.shutdown()
            self._started_ray = False

    @property
    def machines(self) -> list[dict[str, Any]]:
        """The machines of the cluster: ``name``, ``cpus``, ``gpus``, ``memory`` in bytes.

        Raises:
            UserError: these workers were closed.
        """
        if self._closed:
            raise UserError("these workers were closed, and are on no machine any more")
        return machines()

    @property
    def rates(self) -> dict[str, float]:
        """Ablations a second of each worker, by machine and process, while it was at work."""
        return self._crew.rates

    @property
    def done(self) -> dict[str, int]:
        """How many ablations each worker has run, by machine and process; those that have ended as well."""
        return self._crew.done

    @property
    def said(self) -> str:
        """How fast each worker is, for a progress bar."""
        return self._crew.said

    def __repr__(self) -> str:
        each = f"{self.cpus:g} cpus" + (f", {self.gpus:g} gpus" if self.gpus else "")
        return f"RayWorkers({self.address!r}, n={self.n}, {each} each)"

    def size(self, own: int) -> int:
        """How many masks a worker is given at once, of a game that would run ``own`` at once itself."""
        return min(own, CHUNK if self.chunk is None else self.chunk)

    def facts(self, recipe: Recipe, own: Mapping[str, Any]) -> dict[str, Any]:
        """What the values of the workers' game depend on, by the first of them that may play it.

        Raises:
            UserError: no worker may: each has other weights, or can't load them.
        """
        theirs: dict[str, Any] = self._crew.facts(recipe, lambda found: different(own, found))
        return {**own, **{name: theirs[name] for name in FREE if name in theirs}}

    def played(
        self, recipe: Recipe, facts: Mapping[str, Any], chunks: Sequence[tuple[Any, bool]]
    ) -> Iterator[tuple[int, Any]]:
        """The place of each chunk, gates ``(K, n)`` with gradients or without, and what it gave, as they finish.

        Raises:
            UserError: what playing raises; a chunk that was given up, once all others are finished.
        """
        jobs = [Job(recipe, facts, "_played_for_driver", (gates, wanted), len(gates)) for gates, wanted in chunks]
        return self._crew.run(jobs)

    def called(
        self, recipe: Recipe, method: str, calls: Sequence[tuple[Any, ...]], facts: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """The place of each call of a method of what the recipe makes, and what it gave, as they finish."""
        return self._crew.run([Job(recipe, facts, method, arguments, 1) for arguments in calls])

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        """The place of each job and what it gave, as they finish."""
        return self._crew.run(jobs)


def packed(slopes: Any, n_players: int) -> Any:
    """Gradients as they travel and are kept: in half precision where there are many players."""
    return HalfMatrix.of(slopes) if slopes is not None and n_players > HALF_FROM else slopes


def check_workers(workers: Any) -> RayWorkers | None:
    """The workers that were given, or None.

    Raises:
        UserError: they are no workers.
    """
    if workers is not None and not hasattr(workers, "played"):
        raise UserError(
            f"workers are a cx.RayWorkers, not {str(workers)[:40]!r}; such as cx.RayWorkers('local:2') on this machine"
        )
    found: RayWorkers | None = workers
    return found


def _check_some(cpus: float, gpus: float | None) -> None:
    """Refuse workers of nothing; how many GPUs there are (None) is not known before Ray has started."""
    if cpus == 0 and gpus == 0:
        raise UserError("a worker needs some of a core or of a GPU; cpus and gpus are both 0")
