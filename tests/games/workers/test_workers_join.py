"""Clusters of their own, each in its own process: a worker that joins late, what a cluster has, and none at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

LATE = """
import json, threading, time
import ray
ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 * 2**20, log_to_driver=False)
import numpy as np
import circuitspex as cx
from circuitspex.games import TrainFunction

@ray.remote(num_cpus=1)
class Other:
    def here(self):
        return True

other = Other.remote()
ray.get(other.here.remote())

def slow(mask):
    import time
    time.sleep(0.2)
    return float(np.dot(mask, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]))

masks = np.array(list(np.ndindex(*(2,) * 6)), dtype=bool)
with cx.RayWorkers(None, n=2, least=1) as workers:
    def make_room():
        while sum(workers.done.values()) < 4:
            time.sleep(0.05)
        alone.append(len(workers.done))
        ray.kill(other)

    alone = []
    waiting = threading.Thread(target=make_room)
    waiting.start()
    values = cx.TrainingGame(TrainFunction(slow, workers=0, name="slow"), 6, workers=workers)(masks)
    waiting.join()
    done = dict(workers.done)
ray.shutdown()
print("SAID", json.dumps({"alone": alone[0], "done": list(done.values()), "values": values.tolist()}))
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | variables
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=300, env=environment)


@pytest.mark.long
def test_a_worker_joins_once_there_is_room() -> None:
    done = run("-c", LATE)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.rpartition("SAID ")[2])
    assert said["alone"] == 1
    assert len(said["done"]) == 2
    assert min(said["done"]) > 0
    assert sum(said["done"]) == 64
    assert said["values"] == [float(int(f"{number:06b}"[::-1], 2)) for number in range(64)]


@pytest.mark.long
def test_info_shows_a_cluster() -> None:
    done = run("-m", "circuitspex", "info", "--workers", "local:2", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    cluster = json.loads(done.stdout)["cluster"]
    assert cluster["free"] == "2 cores, 0 GPUs"
    assert "ray" in cluster


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "command",
    [
        ("info",),
        ("find", "--model", "smollm2-135m", "--task", "ioi", "--store", "off"),
        ("compare", "--model", "smollm2-135m", "--model", "smollm2-135m", "--task", "ioi", "--store", "off"),
    ],
)
def test_auto_without_a_cluster_is_one_line(command: tuple[str, ...]) -> None:
    """Where the environment names one that is gone: of this machine's own, others may be running beside the tests."""
    done = run("-m", "circuitspex", *command, "--workers", "auto", RAY_ADDRESS="127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("circuitspex: there is no Ray cluster at 127.0.0.1:1 (Connection refused)")
    assert done.stderr.count("\n") == 1
