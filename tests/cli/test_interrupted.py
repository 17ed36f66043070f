"""An interrupt and a request to end: one line, soon, and no traceback, wherever the process is."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A game that says that it was asked, and then sleeps: in Python, or in one call of C after another.
SLEEPER = """
import ctypes, pathlib, time
import numpy as np

def values(masks):
    pathlib.Path({asked!r}).touch()
    {sleep}
    return np.zeros(len(masks))
"""
IN_C = "ctypes.CDLL(None).sleep(60); ctypes.CDLL(None).sleep(60)"  # a signal ends the first alone
SOON = 5.0
"""Seconds: 0.6 until the process is ended from beside; the rest is for processors that are busy with other tests."""


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("sleep", "number"),
    [("time.sleep(60)", signal.SIGINT), (IN_C, signal.SIGINT), ("time.sleep(60)", signal.SIGTERM)],
    ids=["python", "library", "asked to end"],
)
def test_a_signal_ends_it_soon_with_one_line(tmp_path: Path, sleep: str, number: int) -> None:
    game, asked = tmp_path / "mine.py", tmp_path / "asked"
    game.write_text(SLEEPER.format(asked=str(asked), sleep=sleep), encoding="utf-8")
    arguments = ["explain", f"{game}:values", "--players", "6", "--budget", "20"]
    process = subprocess.Popen(
        [sys.executable, "-m", "circuitspex", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # also where tests run in the background
    )
    while not asked.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    began = time.perf_counter()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert time.perf_counter() - began < SOON
    assert process.returncode == 1
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "circuitspex: interrupted"
