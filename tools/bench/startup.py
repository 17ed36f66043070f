"""Where the time goes before the first ablation: ``circuitspex find`` beside a bare script that loads the same model.

    python tools/bench/startup.py --rounds 5 --before ../an-earlier-checkout

The two run in turn, each in a process of its own, and processor time is counted (user and system, all threads): what
else the machine does then matters less. The bare script imports torch, transformers and TransformerLens and loads the
model with TransformerLens. ``find`` runs up to where the first masks are handed to the engine. ``first`` is a cache
folder in which nothing is remembered yet, as after an update; ``again`` is every later start. ``--before`` measures
another checkout of this package too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CHILD = Path(__file__).with_name("startup_child.py")
COMMANDS = (["--help"], ["models", "list"], ["info"], ["runs", "list"], ["export", "--help"], ["find", "--help"])
LIGHT = ("import circuitspex", *(f"circuitspex {' '.join(each)}" for each in COMMANDS))


def child(arguments: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Processor seconds by phase, and in all, of one run."""
    command = [sys.executable, str(CHILD), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
    return found


def light(statement: list[str]) -> tuple[float, float]:
    """Processor and wall seconds of one command that needs no model."""
    import resource
    import time

    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *statement], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


def median(rows: list[dict[str, float]], phase: str) -> float:
    """The median over runs; what a run did not have took no time."""
    return statistics.median(row.get(phase, 0.0) for row in rows)


def measured(model: str, rounds: int, before: Path | None, kept: Path | None) -> dict[str, list[dict[str, float]]]:
    """Runs of each kind, in turn."""
    from circuitspex.models.cache import cache_folder
    from circuitspex.models.catalogue import CATALOGUE, fetch

    folder = str(fetch(CATALOGUE[model])) if model in CATALOGUE else model
    kinds = ["bare script", *(["`find`, before"] if before else []), "`find`, first", "`find`, again"]
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="startup-") as empty:
        (Path(empty) / "models").symlink_to(cache_folder() / "models")
        environment = {**os.environ, "CIRCUITSPEX_CACHE": empty}
        for _ in range(rounds):
            found["bare script"].append(child(["bare", folder], environment))
            if before:
                other = {**environment, "PYTHONPATH": str(before.resolve())}
                found["`find`, before"].append(child(["find", model], other))
            for place in Path(empty).iterdir():
                if place.name != "models":
                    shutil.rmtree(place) if place.is_dir() else place.unlink()
            for kind in ("`find`, first", "`find`, again"):
                found[kind].append(child(["find", model], environment))
            if kept:
                kept.write_text(json.dumps(found, indent=1))
            print({kind: rows[-1]["in all"] for kind, rows in found.items()}, file=sys.stderr)
    return found


def table(found: dict[str, list[dict[str, float]]]) -> list[str]:
    """A row for each phase, slowest first, and the ratios."""
    phases = {phase for rows in found.values() for row in rows for phase in row} - {"in all"}
    order = sorted(phases, key=lambda phase: -max(median(rows, phase) for rows in found.values()))
    lines = [f"| processor seconds | {' | '.join(found)} |", f"|{' --- |' * (len(found) + 1)}"]
    for phase in [*order, "in all"]:
        numbers = [median(rows, phase) for rows in found.values()]
        if max(numbers) >= 0.05:
            lines.append(f"| {phase} | {' | '.join(f'{n:.2f}' if n >= 0.005 else '' for n in numbers)} |")
    ratios = [
        statistics.median(row["in all"] / bare["in all"] for row, bare in zip(rows, found["bare script"], strict=True))
        for rows in found.values()
    ]
    return [*lines, f"| beside the bare script | {' | '.join(f'{ratio:.2f}×' for ratio in ratios)} |"]


def of_commands(rounds: int) -> list[str]:
    """A row for each command that needs no model."""
    lines = ["| without a model | processor seconds | wall seconds |", "| --- | --- | --- |"]
    statements = [["-c", "import circuitspex"], *(["-m", "circuitspex", *each] for each in COMMANDS)]
    for name, statement in zip(LIGHT, statements, strict=True):
        runs = [light(statement) for _ in range(rounds)]
        used, wall = (statistics.median(run[place] for run in runs) for place in (0, 1))
        lines.append(f"| `{name}` | {used:.2f} | {wall:.2f} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="name of the catalogue, or a folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="another checkout, measured too")
    parser.add_argument("--json", type=Path, help="also write all runs here, after each round")
    options = parser.parse_args()
    found = measured(options.model, options.rounds, options.before, options.json)
    print("\n".join([*table(found), "", *of_commands(options.rounds)]))


if __name__ == "__main__":
    main()
