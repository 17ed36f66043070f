"""``--workers``: processes that run a verb's ablations, from before the model is loaded until the verb is done."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from circuitspex.errors import UserError

if TYPE_CHECKING:
    from circuitspex.games.workers.ray_workers import RayWorkers


@contextlib.contextmanager
def workers_of(options: argparse.Namespace, code: ModuleType | None = None) -> Iterator[RayWorkers | None]:
    """Within the block ``options.workers`` are the workers that its address asks for; None where none were asked for.

    Args:
        options: of the verb.
        code: a module of the user's own, which workers on other machines do not have.

    Raises:
        UserError: there are no such workers.
    """
    address, gpus = options.workers, options.worker_gpus
    if address is None:
        if gpus is not None:
            raise UserError("--worker-gpus is of --workers: give their address, such as local:4")
        yield None
        return
    from circuitspex.games.workers.ray_workers import RayWorkers

    with RayWorkers(address, gpus=gpus) as workers:
        if code is not None:
            from ray import cloudpickle

            cloudpickle.register_pickle_by_value(code)
        options.workers = workers
        yield workers
