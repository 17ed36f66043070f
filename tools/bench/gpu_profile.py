"""Where the time of a call goes on a card: the kernels of a pass by device time, and the host's functions.

    python tools/bench/gpu_profile.py --shape smollm2-135m-shape --masks 1024 --length 14
    python tools/bench/gpu_profile.py --shape llama-3.2-1b --gradients

Half of the heads and MLPs are kept, with random weights, in bfloat16. The first table is of one pass that is not
recorded, so that every kernel has its name; the second of whole calls, which read the model anew.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
import sys
from collections import defaultdict

import torch
from ablation_models import SHAPES, build
from device_time import wait, wall_ms
from operator_counts import switched_off

import circuitspex as cx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="llama-3.2-1b", choices=SHAPES)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--components", default="heads+mlps")
    parser.add_argument("--masks", type=int, default=512)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--rows", type=int, default=25, help="of each table")
    options = parser.parse_args()
    model, _, task = build(options.shape, options.device, getattr(torch, options.dtype), 1, options.length)
    game = cx.ComponentGame(model, task, options.components, "mean", batch_rows=options.masks)
    masks = cx.sample_masks(game.n_players, options.masks, keep=0.5, seed=0)
    gates = masks.astype(float)

    def a_pass() -> object:
        return game._engine.evaluate(gates, gradients=options.gradients)

    def call() -> object:
        return game.evaluate(masks, gradients=options.gradients, progress=False)

    for _ in range(3):
        call()
    print(f"\n{' '.join(sys.argv[1:])}: a pass {wall_ms(a_pass, options.device, 5):.1f} ms, ", end="")
    with switched_off("graphs"):
        a_pass()
        print(f"not recorded {wall_ms(a_pass, options.device, 5):.1f} ms, ", end="")
        print(f"a whole call {wall_ms(call, options.device, 5):.1f} ms")
        by_kernel(a_pass, options)
    by_function(call, options)


def by_kernel(work: object, options: argparse.Namespace) -> None:
    """Device time and launches by kernel."""
    if not options.device.startswith("cuda"):
        return
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()  # type: ignore[operator]
        wait(options.device)
    ms: dict[str, float] = defaultdict(float)
    launches: dict[str, int] = defaultdict(int)
    for event in profile.events():
        if event.device_type == torch.autograd.DeviceType.CUDA:
            ms[event.name] += event.device_time_total / 1000
            launches[event.name] += 1
    print(f"on the device {sum(ms.values()):.1f} ms in {sum(launches.values())} launches")
    for name in sorted(ms, key=lambda each: -ms[each])[: options.rows]:
        print(f"{ms[name]:8.2f} ms {launches[name]:5d} × {name[:110]}")


def by_function(work: object, options: argparse.Namespace) -> None:
    """The host's own time and that with what is called, by function."""
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(3):
        work()  # type: ignore[operator]
    profile.disable()
    text = io.StringIO()
    pstats.Stats(profile, stream=text).strip_dirs().sort_stats("cumtime").print_stats(options.rows)
    lines = [line for line in text.getvalue().splitlines() if line.strip()]
    print("the host, three calls:")
    print("\n".join(line[:120] for line in lines[3:]))


if __name__ == "__main__":
    main()
