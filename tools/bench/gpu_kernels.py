"""The fused kernels beside cuBLAS, on a CUDA device: time, and how near both come to what the card can do.

    python tools/bench/gpu_kernels.py --groups 64 --rows 64

Each row is one projection: milliseconds of the plain product of PyTorch on the same shape (nothing ablated), and of the
kernel at several shares kept. Times are medians of CUDA events. The ceilings are a large product and a large copy.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F

from circuitspex import kernels
from circuitspex.kernels.choice import _failed

# Name, inputs of the output projection (blocks, width of a block), outputs
SHAPES = (
    ("SmolLM2-135M heads", 9, 64, 576),
    ("SmolLM2-135M neurons", 24, 64, 576),
    ("Llama-3.2-1B heads", 32, 64, 2048),
    ("Llama-3.2-1B neurons", 128, 64, 2048),
    ("Llama-3.1-8B heads", 32, 128, 4096),
    ("Llama-3.1-8B neurons", 112, 128, 4096),
)
KEPT = (1.0, 0.5, 0.25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=64)
    parser.add_argument("--rows", type=int, default=64)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("this benchmark needs a CUDA device")
        return
    compute, memory = ceilings()
    print(
        f"`{' '.join(['python', *sys.argv])}` on {torch.cuda.get_device_name()}, torch {torch.__version__}, bfloat16\n"
    )
    print(f"ceilings: {compute:.0f} TFLOP/s in a large product, {memory:.0f} GB/s in a large copy\n")
    print("bfloat16\n")
    kept = " | ".join(f"{share:g} kept: cuBLAS / kernel, TFLOP/s" for share in KEPT)
    print(f"| operator | shape | cuBLAS, ms | its TFLOP/s | {kept} |")
    print("| --- " * (4 + len(KEPT)) + "|")
    for name, blocks, width, outputs in SHAPES:
        for operator in ("output", "input"):
            row(operator, name, options.groups, options.rows, blocks, width, outputs)
    print(f"\nfallbacks to plain PyTorch: {sorted(_failed) or 'none'}")


def row(operator: str, name: str, groups: int, rows: int, blocks: int, width: int, outer: int) -> None:
    """One line of the table."""
    inner = blocks * width
    a, b = (inner, outer) if operator == "output" else (outer, inner)
    x = torch.randn(groups, rows, a, device="cuda", dtype=torch.bfloat16)
    weight = torch.randn(b, a, device="cuda", dtype=torch.bfloat16) / a**0.5
    operations = 2.0 * groups * rows * a * b
    plain = milliseconds(lambda: F.linear(x, weight))
    cells = []
    for share in KEPT:
        gates = (torch.rand(groups, blocks, device="cuda").argsort(1) < round(share * blocks)).float()
        if operator == "output":
            base = torch.randn(rows, blocks, b, device="cuda", dtype=torch.bfloat16)
            time = milliseconds(lambda gates=gates, base=base: kernels.gated_output_projection(x, gates, weight, base))
        else:
            time = milliseconds(lambda gates=gates: kernels.gated_input_projection(x, gates, weight))
        cells.append(f"{plain / time:.2f}×, {share * operations / time / 1e9:.0f}")
    shape = f"{groups}×{rows}×{a} → {b}"
    print(
        f"| {operator}, {name} | {shape} | {plain:.3f} | {operations / plain / 1e9:.0f} | {' | '.join(cells)} |",
        flush=True,
    )


def ceilings() -> tuple[float, float]:
    """TFLOP/s of a large product, GB/s of a large copy."""
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    source = torch.empty(2**30, device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    compute = 2.0 * n**3 / milliseconds(lambda: a @ b) / 1e9
    return compute, 2.0 * source.numel() / milliseconds(lambda: target.copy_(source)) / 1e6


def milliseconds(work: Callable[[], object], repeats: int = 20) -> float:
    """The median time of one call."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


if __name__ == "__main__":
    main()
