"""A sweep that is killed at random moments, and the same command again: the same numbers, little done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

# The sweep writes a line for every chunk that it begins, so that what was done twice can be counted.
SWEEP = """
import sys
import numpy as np
import circuitspex as cx
from circuitspex.ablation import engine

where, log, out, kind = sys.argv[1:5]
if kind == "tiny":
    sys.path.insert(0, sys.argv[5])
    from tests.conftest import make_bridge, make_task
    model = make_bridge("llama")
    task, n_masks, rows = make_task(model), 1200, 24
else:
    model = cx.load_model("smollm2-135m")
    task, n_masks, rows = cx.tasks.ioi(model, n_prompts=1), 240, 8
evaluate = engine.AblationEngine.evaluate

def noted(self, gates, **options):
    with open(log, "a") as file:
        file.write("".join(np.packbits(row == 1).tobytes().hex() + "\\n" for row in gates))
    return evaluate(self, gates, **options)

engine.AblationEngine.evaluate = noted
game = cx.ComponentGame(model, task, "heads", batch_rows=rows, store=where)
masks = cx.sample_masks(game.n_players, n_masks, seed=0)
print("ready", flush=True)
run = game.evaluate(masks, gradients=kind == "tiny")
np.save(out, run.per_prompt)
"""


def sweep(folder: Path, name: str, kind: str, kill_after: float | None) -> bool:
    """Run the sweep, and kill it some seconds after it has begun; whether it came to its end."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SWEEP, *(str(folder / f"{name}.{end}") for end in ("sqlite", "log", "npy"))]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, kind, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    if ready != b"ready\n":
        pytest.fail(process.communicate()[1].decode()[-2000:])
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    error = process.communicate()[1]
    assert process.returncode in (0, -signal.SIGKILL), error.decode()[-2000:]
    return process.returncode == 0


def check(folder: Path, kind: str, kills: int, longest: float, chunk: int) -> None:
    assert sweep(folder, "whole", kind, None)
    seed = random.randrange(2**31)
    moments = random.Random(seed)
    ended = [sweep(folder, "killed", kind, moments.uniform(0, longest)) for _ in range(kills)]
    assert not all(ended), "no kill came in time"
    assert sweep(folder, "killed", kind, None)
    whole, resumed = (np.load(folder / f"{name}.npy") for name in ("whole", "killed"))
    np.testing.assert_array_equal(resumed, whole, err_msg=f"seed {seed}")
    once = (folder / "whole.log").read_text().split()
    begun = (folder / "killed.log").read_text().split()
    assert set(begun) == set(once)
    assert len(begun) - len(once) <= ended.count(False) * chunk, f"seed {seed}: more than a batch done twice"


def test_ten_kills_on_a_tiny_model(tmp_path):
    check(tmp_path, "tiny", kills=10, longest=1.0, chunk=8)


@pytest.mark.real_model
def test_kills_on_smollm2(tmp_path):
    check(tmp_path, "real", kills=3, longest=3.0, chunk=8)
