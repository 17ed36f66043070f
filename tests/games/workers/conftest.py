"""A Ray cluster of two processes on this machine, for tests of workers; none of its processes outlives them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from saved_models import saved

import circuitspex as cx

SMALL = {"object_store_memory": 80 * 2**20}


@pytest.fixture(scope="session")
def folder(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model."""
    return saved(tiny, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def model(folder: Path) -> Any:
    """The model of the folder, loaded."""
    return cx.load_model(folder)


@pytest.fixture(scope="session")
def task(tiny: SimpleNamespace, model: Any) -> cx.Task:
    """Prompts of two lengths for it."""
    return tiny.task(model, (5, 5, 6))


@pytest.fixture(scope="session")
def workers() -> Iterator[cx.RayWorkers]:
    """Two workers; when they are closed, every process that was started for them has ended."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with cx.RayWorkers("local:2", ray=SMALL) as made:
        yield made
    deadline = time.monotonic() + 20
    left = [1]
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before and _lives(c)]
    assert not left, left


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "ray" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def kill() -> Callable[[cx.RayWorkers, float], None]:
    """Ends one of the workers at once, as ``kill -9`` does; its name has its process's number."""

    def end(workers: cx.RayWorkers, number: int = 0) -> None:
        names = sorted(member.name for member in workers._crew._ready if "process" in member.name)
        os.kill(int(names[number].rpartition(" ")[2].rstrip(")")), signal.SIGKILL)

    return end
