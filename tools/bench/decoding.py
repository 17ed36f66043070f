"""The decoders beside their peers: R² on held-out masks of synthetic games and of recorded ones.

    python tools/bench/decoding.py --out docs/benchmarks --peer-python PATH

Writes tables (decoding.md), every cell (decoding.csv, decoding.json) and plots into the folder, and prints the tables.
Synthetic games are new in every run unless --seed is given; the seed is printed. Recorded games are ablations of
SmolLM2-135M, made by the first run and kept.

The peers are shapiq's ProxySPEX and SPEX. They need Python 3.12 or later, hence an interpreter of their own:

    python3.12 -m venv PLACE && PLACE/bin/pip install shapiq lightgbm sparse-transform

and then --peer-python PLACE/bin/python. Where shapiq is missing, their columns are left out, and the output says so.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from cells import Cell, as_csv, as_json
from columns import COLUMNS
from plots import plot
from recordings import SPECS, record
from remote import Worker, WorkerError
from suites import N_HELD_OUT, Fitter, RecordedJob, SyntheticJob
from synthetic import FAMILIES
from tables import (
    against_peers,
    coverage,
    estimate_table,
    full_table,
    gain_of_gradients,
    mean_table,
)

Job = SyntheticJob | RecordedJob
SUITES = ("synthetic", "gradients", "recorded")
RECORDED = (
    "ioi_heads_0.5_4",
    "ioi_heads+mlps_0.5_4",
    "capitals_heads_0.5_4",
    "capitals_heads+mlps_0.5_4",
    "induction_heads_0.5_4",
    "induction_heads_0.9_4",
)
PEER_COLUMNS = {"quick": "shapiq", "search": "shapiq-search", "spex": "shapiq-spex"}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"), help="folder for tables and plots")
    parser.add_argument("--seed", type=int, help="of the synthetic games and of the decoders; by default a new one")
    parser.add_argument("--suites", nargs="+", default=list(SUITES), choices=SUITES, metavar="SUITE")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES, metavar="FAMILY")
    parser.add_argument("--players", nargs="+", type=int, default=[32, 64, 128, 256, 512, 1024], metavar="N")
    parser.add_argument("--noise", nargs="+", default=["none", "20dB", "10dB"], help="'none', or such as 20dB")
    parser.add_argument("--budgets", nargs="+", default=["2n", "5n"], help="ablations, such as 1344, or multiples, 2n")
    parser.add_argument("--most", type=int, default=2048, help="no synthetic budget is larger")
    parser.add_argument("--gradient-players", nargs="+", type=int, default=[32, 128], metavar="N")
    parser.add_argument("--gradient-noise", nargs="+", default=["none", "10dB"])
    parser.add_argument("--gradient-budgets", nargs="+", default=["50", "100"], help="of the suite 'gradients'")
    parser.add_argument("--repeats", type=int, default=1, help="synthetic games a row, averaged")
    parser.add_argument("--recorded", nargs="+", default=list(RECORDED), metavar="NAME", help="games, or 'all'")
    parser.add_argument("--recordings", type=Path, default=Path("runs/recordings"), help="folder they are kept in")
    parser.add_argument("--recording-seed", type=int, default=0, help="of their prompts and masks")
    parser.add_argument("--recorded-budgets", nargs="*", type=int, default=[200, 640, 1000], metavar="K")
    parser.add_argument("--recorded-gradient-budgets", nargs="*", type=int, default=[50, 100, 200], metavar="K")
    parser.add_argument("--columns", nargs="+", default=_of_side("ours"), choices=_of_side("ours"), metavar="COLUMN")
    parser.add_argument(
        "--shapiq",
        nargs="+",
        default=["quick"],
        choices=[*PEER_COLUMNS, "none"],
        help="its ProxySPEX without its search of parameters (quick), with it, its SPEX (compiles for each n), or none",
    )
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter that has shapiq")
    parser.add_argument("--limit", type=float, default=45, help="processor seconds a fit, after which it is stopped")
    parser.add_argument("--minutes", type=float, default=29, help="after which no fit is begun")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="games at a time, one thread each")
    options = parser.parse_args()
    known = [spec.name for spec in SPECS]
    if options.recorded == ["all"]:
        options.recorded = known
    for name in options.recorded:
        if name not in known:
            parser.error(f"unknown recorded game '{name}'; allowed: all, {', '.join(known)}")
    try:
        for text in [*options.budgets, *options.gradient_budgets]:
            _budget(text, 1)
        for text in [*options.noise, *options.gradient_noise]:
            if text != "none":
                float(text.removesuffix("dB"))
    except ValueError as error:
        parser.error(f"{error}; budgets are such as 1344 or 2n, noise is 'none' or such as 20dB")
    if options.seed is None:
        options.seed = int(np.random.SeedSequence().generate_state(1)[0])
    return options


def _of_side(side: str) -> list[str]:
    return [key for key, column in COLUMNS.items() if column.side == side]


def _budget(text: str, n: int) -> int:
    return round(float(text[:-1]) * n) if text.endswith("n") else int(text)


def synthetic_jobs(options: argparse.Namespace) -> list[SyntheticJob]:
    """Every game of the synthetic suites, in the order of the tables."""
    settings: tuple[tuple[Literal["synthetic", "gradients"], list[int], list[str], list[str]], ...] = (
        ("synthetic", options.players, options.noise, options.budgets),
        ("gradients", options.gradient_players, options.gradient_noise, options.gradient_budgets),
    )
    return [
        SyntheticJob(
            suite, family, n, noise, repeat, tuple(sorted({min(_budget(text, n), options.most) for text in budgets}))
        )
        for suite, players, noises, budgets in settings
        if suite in options.suites
        for family in options.families
        for n in players
        for noise in noises
        for repeat in range(options.repeats)
    ]


def recorded_jobs(options: argparse.Namespace) -> list[RecordedJob]:
    """Every recorded game; those that are not there yet are recorded now."""
    jobs = []
    for spec in SPECS:
        if spec.name in options.recorded:
            say(f"recorded game {spec.name}")
            stored = record(spec, options.recording_seed, options.recordings)
            jobs.append(
                RecordedJob(
                    spec.name, stored, tuple(options.recorded_budgets), tuple(options.recorded_gradient_budgets)
                )
            )
    return jobs


def say(text: str) -> None:
    """Progress, which is no part of the output."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Workers:
    """The workers of every thread."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._local = threading.local()
        self._all: list[Worker] = []

    def mine(self) -> dict[str, Worker]:
        """This thread's workers; peers that can't be started have no columns."""
        if not hasattr(self._local, "workers"):
            self._local.workers = {
                "ours": Worker("ours", sys.executable),
                "peers": Worker("peers", self._options.peer_python),
            }
            self._all += self._local.workers.values()
            self._local.workers["ours"].start()
            if "none" not in self._options.shapiq:
                try:
                    self._local.workers["peers"].start()
                except WorkerError as error:
                    say(f"the columns of shapiq are left out: {error}")
        return self._local.workers

    @property
    def about(self) -> str:
        """What the columns were fitted with."""
        versions = [worker.about for worker in self._all if worker.about]
        if not any(worker.about for worker in self._all if worker.side == "peers"):
            versions.append("no column of shapiq, which was left out or could not be imported (see --peer-python)")
        return "; ".join(dict.fromkeys(versions))

    def stop(self) -> None:
        for worker in self._all:
            worker.stop()


def run(options: argparse.Namespace, jobs: Sequence[Job], workers: Workers, deadline: float) -> list[Cell]:
    """All jobs' cells, in the order of the jobs; what there is so far is kept in decoding.csv.

    Small games are run first, so that few rows are lost where time runs out.
    """
    wanted = [*options.columns, *(PEER_COLUMNS[key] for key in options.shapiq if key != "none")]
    columns = [column for key, column in COLUMNS.items() if key in wanted]
    found: dict[int, list[Cell]] = {}
    lock = threading.Lock()

    def so_far() -> list[Cell]:
        return [cell for place in sorted(found) for cell in found[place]]

    def one(place: int) -> None:
        job, started = jobs[place], time.perf_counter()
        cells = job.run(Fitter(workers.mine(), columns, options.limit, deadline, options.seed))
        with lock:
            found[place] = cells
            (options.out / "decoding.csv").write_text(as_csv(so_far()))
            say(f"{len(found)}/{len(jobs)} {job.name}: {time.perf_counter() - started:.0f} s")

    order = sorted(range(len(jobs)), key=lambda place: jobs[place].size)
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(one, order))
    return so_far()


def report(options: argparse.Namespace, cells: Sequence[Cell], about: dict[str, Any]) -> str:
    """The markdown of all tables; the plots are drawn on the way."""

    def of(suite: str) -> list[Cell]:
        return [cell for cell in cells if cell.suite == suite]

    parts = [
        "# Decoders beside their peers",
        f"`{about['command']}`\n\n{about['machine']}; {about['versions']}.\n"
        f"Seed {options.seed}, recordings' seed {options.recording_seed}; {about['minutes']:.1f} minutes, "
        f"{options.jobs} games at a time with one thread each. A fit is stopped after {options.limit:g} processor "
        f"seconds, and none is begun after {options.minutes:g} minutes.",
    ]
    if synthetic := of("synthetic"):
        plot(synthetic, options.out, "synthetic", by_size=True, title="Synthetic games, mean over noise levels")
        parts += [
            "## Synthetic games",
            f"R² on {N_HELD_OUT} held-out masks of the game without noise, and processor seconds to decode (one "
            "thread). All columns are given the same uniform masks and values, but those that choose their own masks, "
            "at most as many.",
            *against_peers(synthetic),
            "Mean R² over the rows in which every column has a fit:\n\n" + mean_table(synthetic),
            full_table(synthetic),
            "![R² over ablations, synthetic games](synthetic.png)",
        ]
    if gradients := of("gradients"):
        plot(gradients, options.out, "gradients", by_size=True, title="Synthetic games with few gradient ablations")
        parts += [
            "## Synthetic games with gradients",
            "The exact gradients of the multilinear function, with noise at the same ratio as the values'; the columns "
            "without gradients have the same masks and values.",
            *gain_of_gradients(gradients),
            full_table(gradients),
            "![R² over ablations, synthetic games with gradients](gradients.png)",
        ]
    if recorded := of("recorded"):
        plot(recorded, options.out, "recorded", by_size=False, title="Recorded games")
        parts += [
            "## Recorded games",
            "SmolLM2-135M, or the model of induction_model.py ('repeated'), mean ablation; a game's name ends in the "
            "share kept and the number of prompts. R² on the recording's test masks, and processor seconds to decode "
            "(one thread). All columns are given the same masks and values.",
            *against_peers(recorded),
            *gain_of_gradients(recorded),
            full_table(recorded, keys=("game", "n", "ablations")),
            "![R² over ablations, recorded games](recorded.png)",
            "### Decoders' own estimates",
            estimate_table(recorded),
            *coverage(recorded),
        ]
    if told := coverage([*of("synthetic"), *of("gradients")]):
        parts += ["### Decoders' own estimates on synthetic games without noise", *told]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    say(f"seed {options.seed}")
    jobs: list[Job] = []
    if "recorded" in options.suites:
        jobs += recorded_jobs(options)
    jobs += synthetic_jobs(options)
    workers = Workers(options)
    try:
        cells = run(options, jobs, workers, started + 60 * options.minutes)
    except WorkerError as error:
        sys.exit(f"this library's decoders can't be fitted: {error}")
    finally:
        workers.stop()
    about = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs",
        "versions": workers.about,
        "seed": options.seed,
        "minutes": (time.monotonic() - started) / 60,
    }
    (options.out / "decoding.json").write_text(as_json(about, cells))
    text = report(options, cells, about)
    (options.out / "decoding.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
