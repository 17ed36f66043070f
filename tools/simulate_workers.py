"""What a search costs on 8, 64 and 512 GPUs: the scheduler itself (games/workers/schedule.py) in simulated time.

python tools/simulate_workers.py --times docs/benchmarks/workers_chunks.json --out docs/benchmarks/workers.md

A search is a row of requests, each of which waits for the one before. Chunks take as long as arithmetic says, times a
factor drawn from those that were measured (``tools/bench/workers.py --times``); workers start by reading the weights,
and are lost at random, by their GPUs, with what they had in hand.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from circuitspex.games.workers.schedule import Schedule

PARAMETERS = 70e9
FLOPS, SHARE = 798e12, 0.7
"""What large products reach on an H100 (docs/benchmarks/gpu_cost.md), and the share of it that ours do."""
ABLATED = 0.5
"""An ablated pass beside a plain one, with half of the heads and MLPs kept (there, 8B)."""
BACKWARD = 3.0
"""A pass with gradients beside one without (docs/engine.md: 2 to 3)."""
DOLLARS = 2.5
"""An H100 for an hour; a round number."""


@dataclass(frozen=True)
class Request:
    """Masks that a stage of the search asks for at once."""

    stage: str
    masks: int
    gradients: bool = False


@dataclass(frozen=True)
class Setting:
    """A search on so many workers."""

    n_workers: int
    gpus: int
    tokens: int
    chunk: int
    read: float
    lost_an_hour: float
    factors: Sequence[float]
    overhead: float
    n_players: int = 5200
    n_prompts: int = 64


@dataclass
class Told:
    """What became of it."""

    hours: float = 0.0
    busy: float = 0.0
    lost: int = 0
    again: float = 0.0
    given_up: int = 0
    gigabytes: float = 0.0


SEARCH = (
    Request("ablations to decode", 1000, gradients=True),
    Request("held-out ablations", 200),
    *[Request("measuring again", 960)] * 4,
    *[Request("path patching", 192)] * 2,
    Request("verifying", 44),
)
"""Of heads+mlps: the budget, the R², 60 sets in 16 contexts and again where an interval is wide, directions, checks."""


def seconds_a_mask(setting: Setting, gradients: bool) -> float:
    """A mask on all prompts. Layers spread over several GPUs run one after the other: a worker is as fast as one."""
    plain = 2 * PARAMETERS * setting.tokens / (FLOPS * SHARE)
    return plain * ABLATED * (BACKWARD if gradients else 1.0)


def simulated(setting: Setting, requests: Sequence[Request], seed: int) -> Told:
    """One search: workers, chunks and losses as events in time."""
    draw, told, now, driver = random.Random(seed), Told(), 0.0, 0.0
    events: list[tuple[float, int, str, int]] = []
    number, order = setting.n_workers, 0
    rate = setting.lost_an_hour * setting.gpus / 3600

    def add(when: float, what: str, worker: int) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (when, order, what, worker))

    def start(worker: int, when: float) -> None:
        ready = when + setting.read
        dies = when + (draw.expovariate(rate) if rate else math.inf)
        add(ready, "joined", worker) if ready < dies else None
        if dies < math.inf:
            add(dies, "lost", worker)

    for worker in range(number):
        start(worker, 0.0)
    idle: set[int] = set()
    for request in requests:
        n_chunks = math.ceil(request.masks / setting.chunk)
        schedule = Schedule(n_chunks)
        for worker in sorted(idle):
            schedule.joined(worker)
        begun: dict[int, float] = {}
        each = seconds_a_mask(setting, request.gradients)
        while True:
            for worker, place in schedule.assigned():
                masks = min(setting.chunk, request.masks - place * setting.chunk)
                driver = max(driver, now) + setting.overhead  # the driver hands out one chunk after the other
                begun[worker] = driver
                add(driver + masks * each * draw.choice(setting.factors), "finished", worker)
                told.gigabytes += traffic(setting, masks, request.gradients) / 1e9
            if schedule.over:
                break
            now, _, what, worker = heapq.heappop(events)
            if what == "joined":
                schedule.joined(worker)
            elif what == "finished" and worker in schedule.running:
                schedule.finished(worker)
                told.busy += now - begun.pop(worker)
            elif what == "lost":
                told.lost += 1
                if worker in schedule.running:
                    told.again += now - begun.pop(worker)
                schedule.lost(worker, "lost")
                start(number, now)
                number += 1
        told.given_up += len(schedule.failed)
        idle = set(schedule.idle)
    told.hours = now / 3600
    return told


def traffic(setting: Setting, masks: int, gradients: bool) -> float:
    """Bytes of a chunk: gates to the worker; values of each prompt, and gradients (two bytes each of many), back."""
    back = setting.n_players * (2 if setting.n_players > 2500 else 8) if gradients else 0
    return masks * (8 * setting.n_players + 8 * setting.n_prompts + back) + 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=64 * 64, help="prompts times tokens (default: 64 of 64)")
    parser.add_argument("--chunk", type=int, default=8)
    parser.add_argument("--read", type=float, default=2.0, help="GB of weights a second that a worker reads")
    parser.add_argument("--times", type=Path, help="measured chunks, from tools/bench/workers.py --times")
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    factors, overhead = [0.9, 0.95, 1.0, 1.05, 1.4], 0.004
    said = "factors .9 to 1.4 and 4 ms a chunk are assumed"
    if options.times is not None:
        times = json.loads(options.times.read_text())
        measured = times[max(times, key=int)]
        middle = statistics.median(measured["seconds"])
        factors = [second / middle for second in measured["seconds"]]
        overhead = times[min(times, key=int)]["overhead"]
        low, high = min(factors), max(factors)
        said = f"{len(factors)} measured chunks, {low:.2f} to {high:.2f} of their median"
        said += f", and {1000 * overhead:.1f} ms a chunk"
    lines = [
        "# A 70B model on many GPUs, on paper",
        "",
        f"`python {' '.join(sys.argv)}`",
        "",
        "**A simulation; nothing on this page was run on a GPU.** The scheduler is the real one, in simulated time. "
        + " ".join((__doc__ or "").split("\n\n")[2].split()),
        f"The spread of chunks and the driver's part: {said}. A search of {sum(r.masks for r in SEARCH):,} ablations "
        f"({SEARCH[0].masks:,} with gradients) on {options.tokens:,} tokens; a mask takes "
        f"{seconds_a_mask(_setting(options, 1, 1, 140, 0, factors, overhead), False):.2f} s without gradients. Weights "
        f"are read at {options.read:g} GB/s by each worker; a GPU-hour is {DOLLARS:g} dollars. Medians of "
        f"{options.searches} searches.",
        "",
        "| GPUs | weights, GPUs a worker | workers | lost a GPU-hour | hours | at work, % | lost | redone, % | dollars "
        "| GB to and from the driver, largest MB/s | given up |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, gpus, gigabytes in (("bfloat16", 4, 140), ("4 bits", 1, 40)):
        for n_gpus in (8, 64, 512):
            for lost in (0.0, 0.02, 0.5):
                setting = _setting(options, n_gpus // gpus, gpus, gigabytes, lost, factors, overhead)
                runs = [simulated(setting, SEARCH, seed) for seed in range(options.searches)]
                hours, busy, n_lost, again, given_up, moved = (
                    statistics.median(getattr(run, name) for run in runs)
                    for name in ("hours", "busy", "lost", "again", "given_up", "gigabytes")
                )
                at_work = busy / (hours * 3600 * setting.n_workers)
                lines.append(
                    f"| {n_gpus} | {kind}, {gpus} | {setting.n_workers} | {lost:g} | {hours:.3g} | {100 * at_work:.0f} "
                    f"| {n_lost:g} | {100 * again / busy:.2g} | {n_gpus * hours * DOLLARS:,.0f} | {moved:.2g}, "
                    f"{1000 * moved / (3600 * hours):.2g} | {given_up:g} |"
                )
    lines += ["", WORDS]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out is not None:
        options.out.write_text(text)


def _setting(
    options: argparse.Namespace,
    n_workers: int,
    gpus: int,
    gigabytes: float,
    lost: float,
    factors: Sequence[float],
    overhead: float,
) -> Setting:
    read = gigabytes / options.read
    return Setting(n_workers, gpus, options.tokens, options.chunk, read, lost, factors, overhead)


WORDS = """*At work* is the share of the workers' time, from the start, in which they ran chunks that were finished; the
rest is reading weights, waiting for the last chunks of a request, and chunks that were lost. A model that is spread
over 4 GPUs by `device_map` keeps one of them busy at a time, so that it costs four times as much as one that fits on
one GPU in 4 bits; that 4-bit products are slower than bfloat16's is not counted. 0.02 losses a GPU-hour are machines of
one's own with much bad luck, 0.5 are machines that are taken away every two hours.

What limits 512 GPUs is the search itself: its requests wait for each other, and one of 960 masks is 120 chunks of 8.
Beyond that many workers only smaller chunks (`chunk=`), or several searches at once, use more."""


if __name__ == "__main__":
    main()
