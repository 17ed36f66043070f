"""``tools/gpu_check.sh`` says what failed, whatever fails: run with a Python of this test's making, without a GPU."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = "tools/gpu_check.sh"
STEPS = [
    "first",
    "kernel_tests",
    "engine_tests",
    "edges",
    "kernels",
    "engine_smollm2",
    "engine_llama_1b",
    "engine_llama_8b",
]

# $FAIL and $HANG hold words of the command lines that fail or never end.
PYTHON = """#!/usr/bin/env bash
for word in $HANG; do [[ "$*" != *"$word"* ]] || { echo $$ >"$PIDS"; sleep 100; }; done
for word in $DEAF; do [[ "$*" != *"$word"* ]] || { trap "" TERM; sleep 100; }; done
for word in $FAIL; do [[ "$*" != *"$word"* ]] || { echo "FAILED tests/some.py::test - of $word"; exit 3; }; done
for word in $CRASH; do [[ "$*" != *"$word"* ]] || { echo "what the driver said"; exit 139; }; done
case "$*" in
  *gpu_needs*) echo "a card of the test";;
  *gpu_first*) echo "decides: 0.5 of a plain pass";;
  *) echo "| a | table |";;
esac
"""


def environment(folder: Path, **given: str) -> dict[str, str]:
    python = folder / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    asked = {"PYTHON": str(python), "OUT": str(folder / "out"), "FAIL": "", "HANG": "", "CRASH": "", "DEAF": ""}
    return {**os.environ, **asked, "PIDS": str(folder / "pid"), **given}


def check(folder: Path, *steps: str, **given: str) -> tuple[int, list[str], str]:
    """The exit status, what was printed, and the summary."""
    done = subprocess.run(
        ["bash", str(ROOT / SCRIPT), *steps],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(folder, **given),
        cwd=folder,
    )
    summary = folder / "out" / "summary.md"
    return done.returncode, done.stdout.splitlines(), summary.read_text() if summary.exists() else ""


def test_when_all_goes_well(tmp_path: Path) -> None:
    code, lines, summary = check(tmp_path)
    assert (code, lines[-1]) == (0, "ok")
    assert lines[0] == "a card of the test"
    assert lines[2] == "decides: 0.5 of a plain pass"  # before anything else has run
    assert [line.split()[0] for line in lines if " ok " in line] == STEPS
    assert "    decides: 0.5 of a plain pass" in summary
    assert summary.endswith("\nok\n")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"summary.md", "log.txt"}


@pytest.mark.parametrize(("word", "step"), [("tests/kernels", "kernel_tests"), ("bench/gpu_kernels.py", "kernels")])
def test_a_step_that_fails_fails_the_check_and_the_others_run(tmp_path: Path, word: str, step: str) -> None:
    code, lines, summary = check(tmp_path, FAIL=word)
    assert (code, lines[-1]) == (1, f"FAILED: {step} (exit status 3)")
    assert f"FAILED tests/some.py::test - of {word}" in lines
    assert [line.split()[0] for line in lines if " ok " in line] == [name for name in STEPS if name != step]
    assert f"| {step} | exit status 3 |" in summary
    assert f"    FAILED tests/some.py::test - of {word}" in summary


def test_a_step_that_crashes_shows_its_last_words(tmp_path: Path) -> None:
    code, lines, summary = check(tmp_path, CRASH="gpu_first llama-3.1-8b")
    assert (code, lines[-1]) == (1, "FAILED: first (exit status 139), engine_llama_8b (exit status 139)")
    assert lines.count("what the driver said") == 2
    assert "    what the driver said" in summary


def test_a_step_that_never_ends_is_stopped_and_the_others_run(tmp_path: Path) -> None:
    code, lines, _ = check(tmp_path, HANG="tests/kernels llama-3.1-8b", GPU_CHECK_SECONDS="8")
    assert code == 1
    assert re.fullmatch(
        r"FAILED: kernel_tests \(stopped after \d s\), engine_llama_8b \(stopped after \d s\)", lines[-1]
    )
    assert [line.split()[0] for line in lines if " ok " in line] == [*STEPS[:1], *STEPS[2:-1]]


def test_steps_that_no_longer_fit_are_skipped_by_name_and_count_as_failed(tmp_path: Path) -> None:
    # None ends before it is killed, one second after it was asked to: of eight shares of the time some don't fit, and
    # once no second is left, none does.
    code, lines, summary = check(tmp_path, DEAF="tests/ tools/bench/", GPU_CHECK_SECONDS="6")
    assert code == 1
    ended = re.findall(r"(\w+) \((stopped after \d s|skipped: -?\d s left)\)", lines[-1])
    assert [name for name, _ in ended] == STEPS
    none_left = (place for place, (_, how) in enumerate(ended) if re.fullmatch(r"skipped: (0|-\d) s left", how))
    out = next(none_left, len(ended))
    assert all("skipped" in how for _, how in ended[out:])
    assert ended[0][1] == "stopped after 1 s"
    assert f"| engine_llama_8b | {ended[-1][1]} | 0 |" in summary
    assert "skipped" in ended[-1][1]


def test_what_is_missing_comes_before_anything_else(tmp_path: Path) -> None:
    code, lines, summary = check(tmp_path, FAIL="gpu_needs")
    assert code == 1
    assert lines == ["FAILED tests/some.py::test - of gpu_needs", "FAILED: needs (nothing was run)"]
    assert not summary


def test_single_steps(tmp_path: Path) -> None:
    code, lines, _ = check(tmp_path, "kernels", "engine_tests")
    assert code == 0
    assert [line.split()[0] for line in lines if " ok " in line] == ["engine_tests", "kernels"]
    code, lines, _ = check(tmp_path, "kernel")
    assert code == 1
    assert lines[-1].startswith("FAILED: there is no step 'kernel'; steps: first kernel_tests")


def test_interrupted_it_says_how_far_it_came(tmp_path: Path) -> None:
    started = subprocess.Popen(
        ["bash", str(ROOT / SCRIPT)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, HANG="tests/kernels"),
    )
    until = time.monotonic() + 30
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    out, _ = started.communicate(timeout=30)
    assert started.returncode == 1
    assert out.splitlines()[-1].startswith("FAILED: interrupted after")
    pid = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists(), "the step was left running"


def test_an_out_that_cant_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, lines, _ = check(tmp_path, OUT=str(tmp_path / "file"))
    assert code == 1
    assert lines[-1] == f"FAILED: can't write to {tmp_path}/file; name another folder in OUT"


def test_every_command_names_a_file_that_is_there() -> None:
    named = set(re.findall(r"(?:tools|tests)/[\w/]+(?:\.\w+)?", (ROOT / SCRIPT).read_text()))
    assert {"tools/bench/gpu_first.py", "tests/kernels"} <= named
    assert [name for name in named if not list(ROOT.glob(f"{name}*"))] == []
