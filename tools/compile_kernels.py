"""Compile the kernels ahead of time, with no GPU, and say what the compiler made of them.

Each operator's launcher is called with tensors that have shapes and no data, and what it would launch is compiled
instead: the configurations are the launchers' own. Registers, spills and tensor-core instructions are read off the
machine code.

    python tools/compile_kernels.py --out docs/benchmarks/kernels_compiled.md     (minutes)
    python tools/compile_kernels.py --targets 90 --models llama-3.2-1b --dtypes bfloat16 --json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)  # read when Triton is imported

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from circuitspex.kernels import tile_sizes
from circuitspex.kernels.launchers import LAUNCHERS
from circuitspex.kernels.tile_sizes import Device

TARGETS = {80: Device(108, 166912, whole_tiles=False), 90: tile_sizes.HOPPER, 100: Device(148, 232448)}
"""Compute capabilities: A100, H100 or H200, B200."""
INSTRUCTIONS = {"wgmma": "wgmma.mma_async", "mma": "mma.sync", "tcgen05": "tcgen05.mma"}


@dataclass(frozen=True)
class Model:
    """The shape of a model, as far as its kernels go; biases, LayerNorm and learned positions come together."""

    width: int
    heads: int
    kv: int
    head: int
    neurons: int
    activation: str = "silu"
    biased: bool = False
    softcap: float = 0.0
    window: int = 0


MODELS = {
    "smollm2-135m": Model(576, 9, 3, 64, 1536),
    "llama-3.2-1b": Model(2048, 32, 8, 64, 8192),
    "llama-3.1-8b": Model(4096, 32, 8, 128, 14336),
    "gpt2": Model(768, 12, 12, 64, 3072, "gelu_tanh", biased=True),
    "gemma-2-2b": Model(2304, 8, 4, 256, 9216, "gelu_tanh", softcap=50.0, window=4096),
}


@dataclass(frozen=True)
class Compiled:
    """One kernel in one configuration. ``spilled`` counts reads and writes of spilled registers in the machine code."""

    target: int
    dtype: str
    operator: str
    model: str
    config: str
    tile_rows: int
    registers: int
    warps: int
    spilled: int
    stack: int
    shared: int
    instructions: str
    again: bool = False
    """Whether only numbers of masks and rows and places in lists differ from what was compiled before."""


def calls(model: Model, dtype: torch.dtype, quick: bool, odd: int = 0) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What passes call on a card: each operator with its arguments, for few and many rows, by head and by neuron.

    With ``odd`` there are so many masks and rows less, and lists begin so many places later.
    """

    def new(*shape: int, dtype: torch.dtype = dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    def matrix(out: int, into: int) -> torch.Tensor:
        return new(into, out).T if model.biased else new(out, into)  # GPT-2 keeps its weights the other way round

    def ints(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
        return new(math.prod(shape) + odd, dtype=dtype)[odd:].view(shape)

    def floats(*shape: int) -> torch.Tensor:
        return ints(*shape, dtype=torch.float32)

    w, heads, neurons = model.width, model.heads * model.head, model.neurons
    shift = new(w) if model.biased else None
    rotary = 0 if model.biased else model.head
    norm = (new(w), shift)
    for groups, rows in [(1, 14 - odd), (1, 32 - odd), (4 - odd, 16 - odd), (64 - odd, 128 - odd)]:
        many = groups * rows

        def into(blocks: int, size: int, gated: bool, *plain: Any, groups: int = groups, rows: int = rows) -> Any:
            tile = min(128, max(16, 1 << (groups * rows - 1).bit_length()))
            weight, bias = matrix(blocks * size, w), new(blocks * size) if model.biased else None
            gate = matrix(blocks * size, w) if gated else None
            base = new(rows, blocks * size) if plain else None
            gates = floats(groups, blocks) if plain else None
            tiles = ints(blocks * -(-groups * rows // tile), 2), ints(1)
            lists = ints(groups * blocks), ints(blocks + 1), *tiles
            return (
                new(groups, rows, w),
                weight,
                bias,
                gate,
                None,
                gates,
                base,
                *lists,
                tile,
                *(plain or ("none",)),
                False,
            )

        yield "project_in", into(model.heads, model.head, False)
        if not quick or many > 128:
            for size in (64, 128, neurons):
                yield "project_in", into(neurons // size, size, not model.biased, model.activation)
        sequence = new(groups, rows, model.heads, model.head)
        keys = [new(groups, rows, model.kv, model.head) for _ in range(2)]
        turn = [new(rows, rotary) if rotary else None for _ in range(2)]
        gates, base = floats(groups, 1, model.heads), new(1, rows, heads)
        scores = model.head**-0.5, model.softcap, model.window
        yield "attention", (sequence, *keys, *turn, None, None, gates, base, *scores)
        if not quick:
            old = [new(1, 40, model.kv, model.head) for _ in range(2)]
            turn = [new(rows + 40, rotary) if rotary else None for _ in range(2)]
            yield "attention", (sequence, *keys, *turn, *old, gates, base, *scores)
            yield "attention", (sequence[:, -1:], *keys, *turn, *old, gates, base[:, -1:], *scores)
    masks = 64 - odd
    for rows in (14 - odd, 32 - odd, 64 - odd, 128 - odd):
        for blocks, size in [(model.heads, model.head), *(() if quick else ((neurons // 64, 64), (1, neurons)))]:
            lists = ints(masks * blocks), ints(masks + 1), blocks
            z, h = new(masks, rows, blocks * size), new(masks, rows, w)
            yield "project_out", (z, matrix(w, blocks * size), *lists, new(1, w), h)
    h = new(masks, 32 - odd, w)
    yield "norm", (h, *norm, None, None, 1e-5, model.biased, dtype)
    yield "norm", (h, *norm, None, ints(40), 1e-5, model.biased, dtype)
    yield "add_norm", (h, h, ints(masks), floats(masks), new(32 - odd, w), *norm, 1e-5, model.biased, dtype)
    up = new(masks, 32 - odd, neurons)
    gates = new(masks, neurons, dtype=torch.float32)
    yield "activate", (up, None if model.biased else up, gates, new(1, neurons), model.activation)


class _NoDevice:
    """A driver that has a compute capability and nothing else."""

    def __init__(self, target: int) -> None:
        self.target = target

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.target, 32)

    def get_current_device(self) -> int:
        return self.target

    def get_current_stream(self, device: int) -> int:
        return 0


def compile_all(target: int, names: list[str], dtype: str, quick: bool, again: bool) -> Iterator[Compiled]:
    """Every kernel that these models need, each once; with ``again`` also what odd numbers of rows need beside them."""
    seen: set[Any] = set()
    current = Compiled(target, dtype, "", "", "", 0, 0, 0, 0, 0, 0, "")
    found: list[Compiled] = []
    launch, device_of = JITFunction.run, tile_sizes.device_of

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        kernel = launch(self, *args, grid=grid, warmup=True, **options)
        if kernel.hash not in seen:
            seen.add(kernel.hash)
            found.append(_read(current, kernel, options))

    JITFunction.run = compile_only  # type: ignore[method-assign, assignment]
    tile_sizes.device_of = lambda tensor: TARGETS[target]
    driver.set_active(_NoDevice(target))
    try:
        for name in names:
            for operator, arguments in calls(MODELS[name], getattr(torch, dtype), quick):
                current = replace(current, operator=operator, model=name)
                LAUNCHERS[operator](*arguments)
                yield from found
                found.clear()
        for name in names if again else []:
            for operator, arguments in calls(MODELS[name], getattr(torch, dtype), quick, odd=1):
                current = replace(current, operator=operator, model=name, again=True)
                LAUNCHERS[operator](*arguments)
                yield from found
                found.clear()
    finally:
        JITFunction.run, tile_sizes.device_of = launch, device_of  # type: ignore[method-assign]


def _read(current: Compiled, kernel: Any, options: dict[str, Any]) -> Compiled:
    """What the machine code of a kernel says."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        tool = knobs.nvidia.cuobjdump.path
        usage = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
        code = subprocess.run([tool, "--dump-sass", file.name], capture_output=True, text=True, check=True)
    numbers = {key: int(value) for key, value in re.findall(r"(REG|STACK):(\d+)", usage.stdout)}
    tiles = {key: value for key, value in options.items() if key in ("BM", "BN", "BK", "BD", "BLOCK")}
    config = "×".join(str(value) for value in tiles.values()) + f", {kernel.metadata.num_stages} stages"
    return replace(
        current,
        config=config,
        tile_rows=options.get("BM", 0),
        registers=numbers["REG"],
        warps=kernel.metadata.num_warps,
        spilled=len(re.findall(r"\b(?:LDL|STL)\b", code.stdout)),
        stack=numbers["STACK"],
        shared=kernel.metadata.shared,
        instructions=", ".join(name for name, text in INSTRUCTIONS.items() if text in kernel.asm["ptx"]),
    )


def table(rows: list[Compiled]) -> str:
    """Markdown, a row for each kernel and configuration."""
    lines = [
        "| sm | dtype | operator | first met in | tile | warps | registers | spills | shared (KB) | tensor cores |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {r.target} | {r.dtype} | {r.operator} | {r.model} | {r.config} | {r.warps} | {r.registers} | {r.spilled} "
        f"| {r.shared / 1024:.0f} | {r.instructions or '–'} |"
        for r in rows
    ]
    return "\n".join(dict.fromkeys(lines))  # some differ only in what the table does not show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, nargs="+", choices=TARGETS, default=[90, 80, 100])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--dtypes", nargs="+", choices=["bfloat16", "float16"], default=["bfloat16", "float16"])
    parser.add_argument("--quick", action="store_true", help="leave out what differs little from the rest")
    parser.add_argument("--again", action="store_true", help="look whether other numbers of rows need other kernels")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--out", type=Path, help="write the table with its heading here")
    options = parser.parse_args()
    rows = []
    for target in options.targets:
        for dtype in options.dtypes:
            # The second dtype and other targets differ little: there, one of each kind is enough.
            quick = options.quick or target != 90 or dtype != options.dtypes[0]
            for row in compile_all(target, options.models, dtype, quick, options.again):
                rows.append(row)
                print(row, file=sys.stderr)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        print(table(rows))
    if options.out:
        spilled = sum(row.spilled > 0 for row in rows)
        options.out.write_text(
            "# What the compiler makes of the kernels\n\n"
            "Made without a GPU: nothing here is a time.\n\n"
            "    python tools/compile_kernels.py --out docs/benchmarks/kernels_compiled.md\n\n"
            "Tiles are rows × columns × length of a step (of attention: queries × keys × width of a head). Spills are\n"
            "instructions that write or read registers that didn't fit. `wgmma`, `mma` and `tcgen05` are the tensor\n"
            "cores' instructions, of Hopper, of all, and of Blackwell.\n\n"
            f"Triton {triton.__version__}; {len(rows)} configurations, {spilled} of them with spilled registers.\n\n"
            + table(rows)
            + "\n"
        )


if __name__ == "__main__":
    main()
