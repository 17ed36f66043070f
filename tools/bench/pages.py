"""How long it takes to write a circuit's page and pictures, by its size.

    python tools/bench/pages.py

Prints a table: the seconds of the fastest of some repeats, after a first small one for the imports, and in brackets the
seconds that the processor worked, which other programs disturb less. The circuits are those of the tests: a few strong
components, many weak ones, one interaction in ten of three components.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "export"))

from drawn_circuits import realistic, with_evidence

SIZES = [(10, 7), (100, 67), (300, 400)]
FORMS = ("html", "svg", "png")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}; seconds (processor)\n")
    print(f"| components | interactions | {' | '.join(FORMS)} |\n| --- | --- |{' --- |' * len(FORMS)}")
    with tempfile.TemporaryDirectory() as folder:
        for form in FORMS:
            realistic(5).export(form, Path(folder) / f"first.{form}")
        for n_nodes, n_edges in SIZES:
            circuit = with_evidence(realistic(n_nodes, n_edges))
            cells = []
            for form in FORMS:
                seconds = []
                for _ in range(options.repeats):
                    start = time.perf_counter(), time.process_time()
                    circuit.export(form, Path(folder) / f"c.{form}")
                    seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
                cells.append("{:.2f} ({:.2f})".format(*map(min, zip(*seconds, strict=True))))
            print(f"| {n_nodes} | {n_edges} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
