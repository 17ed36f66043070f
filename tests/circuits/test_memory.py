"""What a search would need is named before anything runs; what it took is in the record."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from circuitspex.circuits import explain
from circuitspex.circuits.search import footprint as memory
from circuitspex.errors import UserError
from circuitspex.games import FunctionGame


def test_more_than_is_free_is_refused_before_anything_runs(monkeypatch):
    played = []
    game = FunctionGame(lambda m: played.append(1) or m.sum(1), 50_000)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=10**9))
    with pytest.raises(UserError) as error:
        explain(game, budget=1000)
    text = str(error.value)
    assert "50,000 components under 1,000 ablations need about" in text
    assert "1.0 GB are free" in text
    assert "neurons:64" in text
    assert "\n" not in text
    assert not played


def test_the_record_says_what_was_expected_and_what_was_held():
    found = explain(FunctionGame(lambda m: m @ np.arange(5.0), 5), budget=20, n_heldout=5)
    assert found.circuit.run["memory_estimate_bytes"] > 0
    assert found.circuit.run["peak_memory_bytes"] > 50e6
    assert "peak memory" in found.circuit.table()


DECODE = """
import sys
import numpy as np
from circuitspex.circuits.search.footprint import memory_needed, peak_memory
from circuitspex.half_precision import HalfMatrix
from circuitspex.recovery import decode
n, k = int(sys.argv[1]), 60
rng = np.random.default_rng(0)
masks = rng.random((k, n)) < 0.5
weights = rng.standard_normal(n) / np.sqrt(n)
slopes = HalfMatrix.of(np.tile(weights, (k, 1)))
values = (2 * masks - 1.0) @ weights / 2
decode(masks[:, :3000], values, gradients=slopes.columns(np.arange(3000)), method="linear")
before = peak_memory()
decode(masks, values, gradients=slopes)
print(peak_memory() - before, memory_needed(n, k, 0, 0))
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own count of peak memory")
def test_decoding_stays_within_the_estimate():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DECODE, "40000"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    grown, estimate = map(int, out.stdout.split())
    # The process on the 1,000 that are looked at one by one comes on top, whatever n is.
    assert grown < estimate + 150e6
