"""Which worker runs which chunk: every chunk once, whatever is lost."""

from __future__ import annotations

import random

import pytest

from circuitspex.games.workers.schedule import Schedule


def test_a_lost_chunk_comes_first_and_goes_to_another():
    schedule = Schedule(3, retries=1)
    for worker in "ab":
        schedule.joined(worker)
    assert list(schedule.assigned()) == [("a", 0), ("b", 1)]
    schedule.lost("a", "killed", gone=False)  # out of memory: the worker itself is still there
    assert list(schedule.assigned()) == [("a", 2)]
    assert schedule.finished("b") == 1
    assert list(schedule.assigned()) == [("b", 0)]
    schedule.lost("b", "killed again")
    assert schedule.failed == {0: "killed again"}
    assert schedule.finished("a") == 2
    assert schedule.over


def test_a_refused_worker_costs_no_try():
    schedule = Schedule(1, retries=0)
    schedule.joined("a")
    assert list(schedule.assigned()) == [("a", 0)]
    schedule.refused("a")
    assert not schedule.over
    schedule.joined("b")
    assert list(schedule.assigned()) == [("b", 0)]
    assert schedule.finished("b") == 0
    assert (schedule.over, schedule.failed) == (True, {})


def test_the_only_worker_tries_again():
    schedule = Schedule(1, retries=1)
    schedule.joined("a")
    for _ in range(2):
        assert list(schedule.assigned()) == [("a", 0)]
        schedule.lost("a", "no memory", gone=False)
    assert schedule.failed == {0: "no memory"}


@pytest.mark.parametrize("seed", range(30))
def test_every_chunk_is_finished_or_given_up(seed):
    draw = random.Random(seed)
    retries, n_chunks = draw.randrange(3), draw.randrange(30)
    schedule, finished, losses, next_worker = Schedule(n_chunks, retries), [], [0] * n_chunks, 0
    while not schedule.over:
        if draw.random() < 0.3 or not (schedule.idle or schedule.running):
            schedule.joined(next_worker)
            next_worker += 1
        for worker, chunk in schedule.assigned():
            assert schedule.running[worker] == chunk
        assert len(set(schedule.running.values())) == len(schedule.running)
        if schedule.running:
            worker = draw.choice(list(schedule.running))
            if draw.random() < 0.3:
                losses[schedule.lost(worker, "lost", gone=draw.random() < 0.5)] += 1
            else:
                finished.append(schedule.finished(worker))
    assert sorted([*finished, *schedule.failed]) == list(range(n_chunks))
    assert all(losses[chunk] == retries + 1 for chunk in schedule.failed)
    assert all(losses[chunk] <= retries for chunk in finished)
