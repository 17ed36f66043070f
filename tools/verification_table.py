"""The areas of several verifications as one Markdown table.

    for task in ioi capitals gendered_pronoun; do
      circuitspex find --model smollm2-135m --task $task --budget 100 --refine 2 --out runs/$task
      circuitspex verify runs/$task/circuit.json
    done
    python tools/verification_table.py runs/*/verification.json

Each row is a way to choose circuits of ten sizes, with the areas that MIB ranks by on held-out prompts, and how much
better 'chosen' (CPR) and 'matched' (CMD) are on the same prompts. Above zero is better; the intervals are over prompts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

HEAD = ("task", "way", "gradient ablations", "CPR", "chosen is higher by", "CMD", "matched is lower by")


def shown(estimate: dict[str, float] | None) -> str:
    """A number with its interval."""
    if estimate is None:
        return "–"
    return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def rows(report: dict[str, Any]) -> list[list[str]]:
    """One for each way to choose."""
    gains = {(gain["way"], gain["other"]): gain for gain in report["gains"]}
    out = []
    for way, curve in report["curves"].items():
        cpr, cmd = (gains.get((by, way), {}).get(area) for by, area in (("chosen", "cpr"), ("matched", "cmd")))
        spent = report["passes"].get(way)
        out.append(
            [
                report["about"]["task"],
                way.replace("|", "\\|"),
                "–" if spent is None else str(spent),
                shown(curve["cpr"]),
                shown(cpr),
                shown(curve["cmd"]),
                shown(cmd),
            ]
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+", help="verification.json files")
    options = parser.parse_args()
    table = [row for path in options.reports for row in rows(json.loads(path.read_text(encoding="utf-8")))]
    for line in [list(HEAD), ["---"] * len(HEAD), *table]:
        print("| " + " | ".join(line) + " |")


if __name__ == "__main__":
    main()
