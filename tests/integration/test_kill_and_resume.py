"""A sweep that is killed at random moments, and the same command again: the same numbers, little done twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Imports and loads once, then forks a process for each sweep, so that ten kills don't cost ten imports. Each sweep
# writes a line for every mask that it begins, so that what was done twice can be counted.
DRIVER = """
import json, os, signal, sys, time
import numpy as np
import circuitspex as cx
from circuitspex.ablation import engine
from tests.conftest import make_bridge, make_task

folder, kind, sweeps = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
evaluate = engine.AblationEngine.evaluate
if kind == "tiny":
    model = make_bridge("llama")
    task, n_masks, rows = make_task(model), 800, 24
else:
    model = cx.load_model("smollm2-135m")
    task, n_masks, rows = cx.tasks.ioi(model, n_prompts=1), 96, 8

def sweep(name, ready):
    def noted(self, gates, **options):
        with open(f"{folder}/{name}.log", "a") as file:
            file.write("".join(np.packbits(row == 1).tobytes().hex() + "\\n" for row in gates))
        return evaluate(self, gates, **options)

    engine.AblationEngine.evaluate = noted
    game = cx.ComponentGame(model, task, "heads", batch_rows=rows, store=f"{folder}/{name}.sqlite")
    masks = cx.sample_masks(game.n_players, n_masks, seed=0)
    os.write(ready, b"!")
    run = game.evaluate(masks, gradients=kind == "tiny")
    np.save(f"{folder}/{name}.npy", run.per_prompt)

ended = []
for name, kill_after in sweeps:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            sweep(name, writer)
        except BaseException:  # a forked child must never return into its parent's loop
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 1) == b"!", "the sweep failed before it began"
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    ended.append(code == 0)
print(json.dumps(ended))
"""


def check(folder: Path, kind: str, kills: int, longest: float, chunk: int) -> None:
    seed = random.randrange(2**31)
    moments = random.Random(seed)
    sweeps: list[tuple[str, float | None]] = [("whole", None)]
    sweeps += [("killed", moments.uniform(0, longest)) for _ in range(kills)]
    sweeps += [("killed", None)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DRIVER, str(folder), kind, json.dumps(sweeps)]
    done = subprocess.run(command, capture_output=True, env=environment, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ended = json.loads(done.stdout.splitlines()[-1])[1:-1]
    assert not all(ended), "no kill came in time"
    whole, resumed = (np.load(folder / f"{name}.npy") for name in ("whole", "killed"))
    np.testing.assert_array_equal(resumed, whole, err_msg=f"seed {seed}")
    once = (folder / "whole.log").read_text().split()
    begun = (folder / "killed.log").read_text().split()
    assert set(begun) == set(once)
    assert len(begun) - len(once) <= ended.count(False) * chunk, f"seed {seed}: more than a batch done twice"


def test_three_kills_on_a_tiny_model(tmp_path):
    check(tmp_path, "tiny", kills=3, longest=0.25, chunk=8)


@pytest.mark.long
def test_ten_kills_on_a_tiny_model(tmp_path):
    check(tmp_path, "tiny", kills=10, longest=0.25, chunk=8)


@pytest.mark.long
@pytest.mark.real_model
def test_kills_on_smollm2(tmp_path):
    check(tmp_path, "real", kills=2, longest=2.0, chunk=8)
