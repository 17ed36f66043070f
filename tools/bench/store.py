"""What keeping ablations costs: the same masks with and without a store, by turns; medians and their ratio.

python tools/bench/store.py --masks 64 --repeats 5
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import circuitspex as cx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--masks", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    model = cx.load_model(options.model)
    task = cx.tasks.ioi(model, n_prompts=1)
    print(f"`{' '.join(['python', *sys.argv])}`\n")
    print("| ablations | without, ms | with a store, ms | more | again, ms |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for gradients in (False, True):
            plain = cx.ComponentGame(model, task, "heads")
            kept = cx.ComponentGame(model, task, "heads", store=Path(folder) / "runs.sqlite")
            times: dict[str, list[float]] = {"plain": [], "kept": [], "again": []}
            for repeat in range(options.repeats + 1):
                masks = cx.sample_masks(plain.n_players, options.masks, seed=repeat)
                runs = {"plain": plain, "kept": kept, "again": kept}
                order = ("plain", "kept", "again") if repeat % 2 else ("kept", "again", "plain")
                for name in order:
                    run = runs[name].evaluate(masks, gradients=gradients, progress=False)
                    times[name].append(1000 * run.seconds / len(masks))
            once, with_store, again = (statistics.median(times[name][1:]) for name in ("plain", "kept", "again"))
            what = "with gradients" if gradients else "plain"
            print(f"| {what} | {once:.2f} | {with_store:.2f} | {with_store / once - 1:+.1%} | {again:.3f} |")


if __name__ == "__main__":
    main()
