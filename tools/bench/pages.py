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
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "export"))

from drawn_circuits import edge, node, realistic, with_evidence

from circuitspex.circuits.circuit import Circuit, Faithfulness

SIZES = [(10, 7), (100, 67), (300, 400)]
LARGE = [(2_000, 1_300), (10_000, 5_000), (20_000, 10_000)]
"""Only as SVG, with --large."""
FORMS = ("html", "svg", "png")


def large() -> None:
    """SVG of large circuits, with the most memory that the process held so far."""
    print("| components | interactions | svg, seconds (processor) | memory, MB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for n_nodes, n_edges in LARGE:
            rng = random.Random(0)
            names = [f"L{i % 30}H{i // 30}" for i in range(n_nodes)]
            pairs = {tuple(sorted(rng.sample(names, 2))) for _ in range(n_edges)}
            circuit = Circuit(
                tuple(node(name, rng.gauss(0, 1)) for name in names),
                tuple(edge(pair, rng.gauss(0, 1)) for pair in sorted(pairs)),
                Faithfulness(None, None, None, 0),
            )
            start = time.perf_counter(), time.process_time()
            circuit.to_svg(Path(folder) / "c.svg")
            spent = time.perf_counter() - start[0], time.process_time() - start[1]
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"| {n_nodes} | {len(pairs)} | {spent[0]:.1f} ({spent[1]:.1f}) | {memory} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="diagrams of up to 20,000 components instead, as SVG")
    options = parser.parse_args()
    if options.large:
        large()
        return
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
