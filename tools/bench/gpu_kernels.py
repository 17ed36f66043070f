"""Every operator on a CUDA device beside cuBLAS and SDPA on the same shape: time there, time of the host, and how near
both come to what the card can do.

    python tools/bench/gpu_kernels.py --out docs/benchmarks/gpu/kernels.md

Device times are medians over replays of a CUDA graph, in which inputs that together are larger than twice the cache
take turns. Exits with 1 where an operator fails, gives way to plain PyTorch, or gives other numbers than plain PyTorch
at density 1. With --device cpu the plain definitions run on small inputs, to try the script itself.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from device_time import ceilings, device_ms, host_us, sets_for
from gpu_operators import OPERATORS, Example, Setting
from model_shapes import LLAMAS
from operator_counts import fallbacks

# In bfloat16 a result keeps 8 bits, and the two sum in another order.
_APART = 2e-2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--shapes", nargs="+", choices=LLAMAS, default=[name for name in LLAMAS if name != "tiny"])
    parser.add_argument("--operators", nargs="+", choices=OPERATORS, default=list(OPERATORS))
    parser.add_argument("--rows", nargs="+", type=int, default=[14, 32, 128, 512], help="rows a mask")
    parser.add_argument("--all-rows", type=int, default=8192, help="rows of all masks together, about")
    parser.add_argument("--densities", nargs="+", type=float, default=[1.0, 0.5, 0.25])
    parser.add_argument("--seconds", type=float, default=0.02, help="of replays for one number")
    parser.add_argument("--out", type=Path, help="the table's file")
    options = parser.parse_args()
    on_card = options.device.startswith("cuda")
    if on_card and not torch.cuda.is_available():
        sys.exit("this benchmark needs a CUDA device; --device cpu tries the script itself")
    dtype = getattr(torch, options.dtype)
    compute, memory = ceilings(options.device, dtype)
    where = torch.cuda.get_device_name() if on_card else "a CPU: the plain definitions, to try the script"
    kept = [f"density {density:g}: ms, plain / ours, share of the ceiling" for density in options.densities]
    headings = ["operator", "shape", "masks × rows", "plain, ms, share of the ceiling", *kept, "host, µs: plain, ours"]
    lines = [
        "# The operators on a GPU",
        "",
        f"`{' '.join(['python', *sys.argv])}` on {where}, torch {torch.__version__}, {options.dtype}",
        "",
        f"The ceiling is {compute:.0f} TFLOP/s (a large product) where there are products, and {memory:.0f} GB/s (a "
        "large copy) for norms and activations. Work that is left out does not count. *Plain* is cuBLAS, SDPA or "
        "PyTorch with nothing ablated.",
        "",
        f"| {' | '.join(headings)} |",
        "| --- " * len(headings) + "|",
    ]
    print("\n".join(lines), flush=True)
    wrong: list[str] = []
    warnings.simplefilter("ignore", UserWarning)  # fallbacks are named below
    for name in options.operators:
        make, by_operations = OPERATORS[name]
        ceiling = compute * 1e9 if by_operations else memory * 1e6  # a millisecond
        for shape in options.shapes:
            for rows in options.rows:
                groups = max(2, options.all_rows // rows)
                setting = Setting(LLAMAS[shape], groups, rows, 1.0, options.device, dtype)
                try:
                    cells = measured(make, setting, options.densities, ceiling, options.seconds)
                except Exception as error:  # whatever a compiler or driver raises; the other rows are still wanted
                    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                    wrong.append(f"FAILED {name}, {shape}, {rows} rows: {reason}")
                    cells = ["failed"] * (2 + len(options.densities))
                lines.append(f"| {name} | {shape} | {groups} × {rows} | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
                save(options.out, lines)
    if on_card:
        wrong += [f"fallback: {reason}" for reason in fallbacks(options.device)]
    lines += ["", *(wrong or ["No operator failed, gave other numbers, or gave way to plain PyTorch."])]
    print("\n".join(lines[-len(wrong or [0]) :]))
    save(options.out, lines)
    sys.exit(bool(wrong))


def save(out: Path | None, lines: list[str]) -> None:
    """All that is known so far: a run that is stopped leaves its rows."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("\n".join(lines) + "\n")


def measured(
    make: Callable[[Setting], Example], setting: Setting, densities: list[float], ceiling: float, seconds: float
) -> list[str]:
    """The cells of one row: plain, one for each density, and the host's times."""
    device = setting.device
    examples = [make(setting)]
    examples += [make(setting) for _ in range(sets_for(examples[0].bytes_held, device) - 1)]
    first = examples[0]
    check(first)
    plain = device_ms([example.plain for example in examples], device, seconds=seconds)
    host = f"{host_us(first.plain, device):.0f}, {host_us(first.ours, device):.0f}"
    cells = [f"{plain:.3f}, {first.whole / plain / ceiling:.2f}"]
    for density in densities:
        if density != 1:
            examples = [make(replace(setting, density=density)) for _ in examples]
        time = device_ms([example.ours for example in examples], device, seconds=seconds)
        cells.append(f"{time:.3f}, {plain / time:.2f}×, {examples[0].amount / time / ceiling:.2f}")
    return [*cells, host]


def check(example: Example) -> None:
    """With nothing ablated both give the same.

    Raises:
        ValueError: they don't.
    """
    ours, plain = example.ours().double(), example.plain().double()
    apart = float((ours - plain).norm() / plain.norm())
    if not apart < _APART:
        raise ValueError(f"with nothing ablated it is {apart:.2g} from plain PyTorch, relatively")


if __name__ == "__main__":
    main()
