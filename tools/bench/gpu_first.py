"""The line that decides most: what an ablated pass costs beside a plain pass of the same batch, and what ran.

    python tools/bench/gpu_first.py

Half of the heads and MLPs are kept, on the shape of Llama-3.2-1B with random weights, in bfloat16. Exits with 1 where
kernels gave way to plain PyTorch, or the fused executor to another.
"""

from __future__ import annotations

import argparse
import sys

import torch
from ablation_models import SHAPES, build
from ablation_peers import plain_forward
from device_time import wall_ms
from model_shapes import LLAMAS
from operator_counts import fallbacks, not_as_it_should, operators_called, switched_off
from pass_cost import Batch, Card, ablated_pass, plain_pass, seconds, shares

import circuitspex as cx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="llama-3.2-1b", choices=SHAPES)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--masks", type=int, default=512)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    model, plain, task = build(options.shape, options.device, getattr(torch, options.dtype), 1, options.length)
    game = cx.ComponentGame(model, task, "heads+mlps", "mean", batch_rows=options.masks)
    masks = cx.sample_masks(game.n_players, options.masks, keep=0.5, seed=0)

    gates = masks.astype(float)

    def ablated() -> object:
        return game._engine.evaluate(gates)

    counts = operators_called(ablated)
    ablated()
    fused = wall_ms(ablated, options.device, options.repeats)
    with switched_off("graphs"):
        ablated()
        unrecorded = wall_ms(ablated, options.device, options.repeats)
    call = wall_ms(lambda: game.evaluate(masks, progress=False), options.device, options.repeats)
    times = []
    for last_only in (False, True):
        plain_forward(plain, task, options.masks, rows=options.masks, last_only=last_only)
        times.append(
            wall_ms(
                lambda last_only=last_only: plain_forward(
                    plain, task, options.masks, rows=options.masks, last_only=last_only
                ),
                options.device,
                options.repeats,
            )
        )
    every, last = times
    ran = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
    where = torch.cuda.get_device_name() if options.device.startswith("cuda") else "a CPU"
    print(
        f"decides: an ablated pass takes {fused / every:.2f} of a plain one of the same batch, {fused / last:.2f} of "
        f"one with the last logits only ({fused:.1f}, {every:.1f}, {last:.1f} ms; {where}, {options.shape}, "
        f"{options.dtype}, {options.masks} masks × {options.length} tokens, half of heads and MLPs kept"
        f"{by_arithmetic(options)}; {unrecorded:.1f} ms not recorded as a graph, "
        f"{call:.1f} ms with all that a call does besides); "
        f"operators called: {ran}",
        flush=True,
    )
    why = fallbacks(options.device) + not_as_it_should(game, counts, options.device)
    if why:
        print(f"fallback: {'; '.join(why)}")
        sys.exit(1)


def by_arithmetic(options: argparse.Namespace) -> str:
    """The same two shares as the model of cost predicts them for an H100."""
    if options.shape not in LLAMAS:
        return ""
    shape = LLAMAS[options.shape]
    batch = Batch(options.masks, 1, options.length, **shares(shape, 0.5))
    ours = seconds(ablated_pass(shape, batch), Card(), graph=True)
    plain = [seconds(plain_pass(shape, batch, last_only=last_only), Card(), graph=True) for last_only in (False, True)]
    return f"; {' and '.join(f'{ours / each:.2f}' for each in plain)} by arithmetic"


if __name__ == "__main__":
    main()
