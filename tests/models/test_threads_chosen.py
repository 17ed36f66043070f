"""Threads are chosen by a trial, what the user has set is left alone, and PyTorch's setting is as before afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from circuitspex.errors import UserError
from circuitspex.models import threads
from circuitspex.models.threads import ThreadChoice, choose_again, chosen_threads, with_chosen_threads


@pytest.fixture
def two(monkeypatch):
    """PyTorch with two threads on a machine where that is usual, and nothing that was set or tried."""
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CIRCUITSPEX_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_usual", lambda: {2})
    monkeypatch.setattr(threads, "_latest", threads._Latest())
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def speeds(monkeypatch):
    """How fast a product is with each number of threads, in place of the clock's word."""
    speed, now = {1: 100.0, 2: 100.0}, [0.0]

    def product(x, weight):
        now[0] += 1 / speed[torch.get_num_threads()]

    clock = SimpleNamespace(perf_counter=lambda: now[0], time=time.time)
    monkeypatch.setattr(threads, "time", clock)
    monkeypatch.setattr(torch.nn.functional, "gelu", lambda x: product(x, x))
    return speed


@pytest.mark.parametrize(("with_two", "chosen"), [(190.0, 2), (105.0, 1), (10.0, 1)])
def test_more_threads_run_where_they_are_worth_it(two, speeds, with_two, chosen) -> None:
    speeds[2] = with_two
    choice = chosen_threads()
    assert choice.threads == chosen
    assert dict(choice.rates) == pytest.approx({1: 100.0, 2: with_two}, rel=0.2)
    assert torch.get_num_threads() == 2
    with with_chosen_threads("cpu"):
        assert torch.get_num_threads() == chosen
        with with_chosen_threads("cpu"):
            assert torch.get_num_threads() == chosen
        assert torch.get_num_threads() == chosen
    assert torch.get_num_threads() == 2


def test_what_happens_meanwhile_is_noticed(two, speeds, monkeypatch) -> None:
    speeds[2] = 190.0
    with with_chosen_threads("cpu"):
        assert torch.get_num_threads() == 2
        speeds[2] = 5.0  # another program begins
        choose_again()
        assert torch.get_num_threads() == 2  # not before the trial is old
        monkeypatch.setattr(threads, "AGAIN_AFTER", 0.0)
        choose_again()
        assert torch.get_num_threads() == 1
        speeds[2] = 190.0
        choose_again()
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 2
    speeds[2] = 5.0

    def fails() -> None:
        with with_chosen_threads("cpu"):
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert torch.get_num_threads() == 2


def test_a_trial_takes_its_time_and_no_more(two) -> None:
    chosen_threads()  # threads are made
    began = time.perf_counter()
    choice = chosen_threads(anew=True)
    assert time.perf_counter() - began < 1.0  # 0.05 on a machine of one's own
    assert set(dict(choice.rates)) == {1, 2}
    assert all(rate > 0 for rate in dict(choice.rates).values())


@pytest.mark.parametrize("device", ["cuda", torch.device("cuda")])
def test_nothing_is_tried_for_a_card(two, monkeypatch, device) -> None:
    monkeypatch.setattr(threads, "_tried", lambda most: pytest.fail("tried"))
    with with_chosen_threads(device):
        assert torch.get_num_threads() == 2


def test_what_the_user_set_is_left_alone(two, monkeypatch) -> None:
    monkeypatch.setattr(threads, "_tried", lambda most: pytest.fail("tried"))
    torch.set_num_threads(3)
    assert chosen_threads() == ThreadChoice(3, "torch.set_num_threads")
    torch.set_num_threads(2)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        with monkeypatch.context() as patched:
            patched.setenv(name, "2")
            assert chosen_threads() == ThreadChoice(2, name)
    monkeypatch.setenv("CIRCUITSPEX_THREADS", "3")
    with with_chosen_threads("cpu"):
        assert torch.get_num_threads() == 3
        choose_again()
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5", "2000"])
def test_a_number_that_is_none_is_one_clear_line(two, monkeypatch, wanted) -> None:
    monkeypatch.setenv("CIRCUITSPEX_THREADS", wanted)
    with pytest.raises(UserError, match=r"allowed: auto, or how many threads, 1 to 1024"):
        chosen_threads()


def test_threads_that_overlap_leave_their_own_settings(two, speeds) -> None:
    speeds[2] = 5.0
    inside, over, found = threading.Event(), threading.Event(), {}

    def other() -> None:
        torch.set_num_threads(2)
        with with_chosen_threads("cpu"):
            found["within"] = torch.get_num_threads()
            inside.set()
            over.wait(20)
        found["after"] = torch.get_num_threads()

    thread = threading.Thread(target=other)
    with with_chosen_threads("cpu"):
        thread.start()
        assert inside.wait(20)
    assert torch.get_num_threads() == 2
    over.set()
    thread.join()
    assert found == {"within": 1, "after": 2}
    assert torch.get_num_threads() == 2


SCRIPT = """
import json, sys
sys.path.insert(0, {tests!r})
import conftest, os
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.pop(name, None)
import torch
import circuitspex as cx
from circuitspex.models import threads
threads._usual = lambda: {{torch.get_num_threads()}}
torch.set_num_threads(2)
ran = []
real = torch.set_num_threads
torch.set_num_threads = lambda count: (ran.append(count), real(count))[1]
from threadpoolctl import threadpool_info
def pools(): return {{each["filepath"]: each["num_threads"] for each in threadpool_info()}}
model = conftest.make_bridge("llama")
task = conftest.make_task(model)
before = pools()
found = cx.find_circuit(model, task, "heads", budget=24, n_heldout=8, n_contexts=4, progress=False)
after = pools()
print(json.dumps([[path, number, after[path]] for path, number in before.items() if after[path] != number]))
print(json.dumps([torch.get_num_threads(), len(ran)]))
"""


@pytest.mark.long
def test_a_search_leaves_every_pool_of_threads_as_it_was(tmp_path) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1])))
    environment = {name: value for name, value in os.environ.items() if not name.endswith("NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    changed, (n_threads, n_set) = map(json.loads, done.stdout.splitlines()[-2:])
    assert changed == []
    assert n_threads == 2
    assert n_set > 0
