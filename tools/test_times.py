"""Where the time of the tests goes: seconds of one core by folder, beside what it may take, and the slowest files.

    python -m pytest -n 2 --dist loadfile --junitxml=times.xml
    python tools/test_times.py times.xml --out docs/development/test_times.md

Setting up counts for the file that it is for. `make test` is meant to take 20 minutes on two quiet cores, that is 2,400
seconds of one; what does not fit is marked `long` and runs in `make test-long`.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

MINUTES = 20
CORES = 2
BUDGET = {
    "integration": 400,
    "circuits": 300,
    "export": 280,
    "ablation": 230,
    "cli": 200,
    "games": 190,
    "recovery": 180,
    "models": 90,
    "ground_truth": 80,
    "documents": 70,
    "other folders": 200,
}
"""Seconds of one core; what is not named is one of the other folders."""
SLOWEST = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", type=Path, help="what pytest --junitxml wrote")
    parser.add_argument("--out", type=Path, help="write the page as Markdown")
    options = parser.parse_args()
    files, tests = seconds_of(options.times)
    page = "\n\n".join([*text(), folders(files, tests), "The slowest files:", slowest(files)]) + "\n"
    print(page)
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    sys.exit(0 if sum(files.values()) <= 60 * MINUTES * CORES else 1)


def text() -> list[str]:
    """The head of the page."""
    return ["# How long the tests take", " ".join((__doc__ or "").split("\n\n")[2].split())]


def seconds_of(path: Path) -> tuple[Counter[str], Counter[str]]:
    """By file: its seconds, and how many tests it has."""
    seconds: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        parts = str(case.get("classname")).split(".")
        # A class follows the file in the name; files and folders have small letters.
        name = "/".join(part for part in parts if part[:1].islower()) + ".py"
        seconds[name] += float(case.get("time") or 0)
        tests[name] += 1
    return seconds, tests


def folder_of(name: str) -> str:
    """The row that a file belongs to."""
    parts = name.split("/")
    return parts[1] if len(parts) > 2 and parts[1] in BUDGET else "other folders"


def folders(files: Counter[str], tests: Counter[str]) -> str:
    """The table by folder."""
    seconds: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for name, each in files.items():
        seconds[folder_of(name)] += each
        count[folder_of(name)] += tests[name]
    rows = [[f"tests/{name}" if name in seconds and " " not in name else name] for name in BUDGET]
    for row, name in zip(rows, BUDGET, strict=True):
        row += [str(count[name]), f"{seconds[name]:.0f}", str(BUDGET[name])]
    total = sum(files.values())
    rows.append(["all", str(sum(tests.values())), f"{total:.0f}", str(60 * MINUTES * CORES)])
    return table(["folder", "tests", "seconds", "may take"], rows)


def slowest(files: Counter[str]) -> str:
    """The table of the slowest files."""
    return table(["file", "seconds"], [[name, f"{each:.0f}"] for name, each in files.most_common(SLOWEST)])


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    main()
