"""The products of the project with other tile sizes than the rules choose, on a card: what the rules are checked by.

    python tools/bench/gpu_tiles.py

One line for each operator, shape and density: the rule's own time, then the others from the fastest on, as options and
milliseconds. Tiles are compiled side by side first, by processes of this script.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from device_time import device_ms, sets_for
from gpu_operators import OPERATORS, Setting
from model_shapes import LLAMAS

from circuitspex.kernels import choice, tile_sizes
from circuitspex.kernels.launch import FUSED

NAMES = {"queries": "project_in: queries", "gate_up": "project_in: gate, up, SwiGLU", "down": "project_out: neurons"}
COLUMNS = {"queries": (64, 128), "gate_up": (64, 128), "down": (64, 128, 256)}


def tiles(name: str, rule: tuple[dict[str, int], int], width: int) -> Iterator[tuple[dict[str, int], int]]:
    """Other options than the rule's that fit into shared memory and registers, and programs a multiprocessor."""
    options, _ = rule
    for columns, inner, warps, stages, together in itertools.product(
        COLUMNS[name], (64, 128), (4, 8), (2, 3, 4, 5), (1, 2, 3)
    ):
        summed = columns * (2 if name == "gate_up" else 1)
        memory = 2 * inner * (options["BM"] + summed) * stages * together
        registers = options["BM"] * summed // (32 * warps) + 40
        if columns > width or memory > tile_sizes.HOPPER.shared or registers > 255:
            continue
        if registers * 32 * warps * together > 65536 or stages * inner < 128 or stages * inner > 320:
            continue
        if name == "down" and together > 1:  # a program for each tile; how many share one is not ours to say
            continue
        yield {**options, "BN": columns, "BK": inner, "num_warps": warps, "num_stages": stages, **FUSED}, together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=LLAMAS, default=["llama-3.2-1b", "llama-3.1-8b"])
    parser.add_argument("--operators", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--densities", nargs="+", type=float, default=[0.5])
    parser.add_argument("--rows", type=int, default=128, help="rows a mask")
    parser.add_argument("--best", type=int, default=6, help="how many to print")
    parser.add_argument("--part", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.part is None:
        n = min(12, os.cpu_count() or 1)
        started = [
            subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--part", str(i), str(n)]) for i in range(n)
        ]
        for process in started:
            process.wait()
    for name, shape, density in itertools.product(options.operators, options.shapes, options.densities):
        sweep(name, shape, density, options)


def sweep(name: str, shape: str, density: float, options: argparse.Namespace) -> None:
    """One line; or, as a part, only compile."""
    make, _ = OPERATORS[NAMES[name]]
    setting = Setting(LLAMAS[shape], 8192 // options.rows, options.rows, density, "cuda", torch.bfloat16)
    examples = [make(setting)]
    if options.part is None:
        examples += [make(setting) for _ in range(sets_for(examples[0].bytes_held, "cuda") - 1)]
    rule_of = "project_out" if name == "down" else "project_in"
    chosen: list[Any] = []
    original = getattr(tile_sizes, rule_of)

    def forced(*given: Any) -> Any:
        rule = original(*given)
        return chosen[0] if chosen else rule

    seen: list[Any] = []
    setattr(tile_sizes, rule_of, lambda *given: (seen.append((original(*given), given)), forced(*given))[1])
    try:
        examples[0].ours()
        rule, given = seen[0]
        width = given[1] if name == "down" else given[2]
        times = []
        if options.part is None:
            times.append((device_ms([each.ours for each in examples], "cuda", seconds=0.01), "the rule", rule))
        for number, tile in enumerate(tiles(name, rule, width)):
            if options.part is not None and number % options.part[1] != options.part[0]:
                continue
            chosen[:] = [tile]
            choice._failed.clear()
            try:
                if options.part is not None:
                    examples[0].ours()
                    continue
                ms = device_ms([each.ours for each in examples], "cuda", seconds=0.01)
                times.append((ms, "failed" if choice._failed else "", tile))
            except Exception as error:  # whatever a compiler or driver raises
                print(f"{name}, {shape}: {tile}: {type(error).__name__}", flush=True)
            finally:
                chosen.clear()
    finally:
        setattr(tile_sizes, rule_of, original)
    if options.part is None:
        print(f"{name}, {shape}, density {density:g}, {len(times)} tiles:", flush=True)
        for ms, about, (each, together) in [times[0], *sorted(times[1:], key=lambda found: found[0])[: options.best]]:
            shown = "×".join(str(each[key]) for key in ("BM", "BN", "BK"))
            print(f"  {ms:.3f} ms: {shown}, {each['num_warps']} warps, {each['num_stages']} stages, "
                  f"{together} together {about}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
