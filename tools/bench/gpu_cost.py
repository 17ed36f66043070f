"""What passes should cost on a GPU, by arithmetic: a table for each target. A prediction, never a measurement.

python tools/bench/gpu_cost.py --out docs/benchmarks/gpu_cost.md
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from model_shapes import LLAMA_1B, LLAMA_8B, SMOLLM2, ModelShape
from page_parts import paragraph, table
from pass_cost import (
    SKIP_ALONG_K,
    Batch,
    Card,
    Pass,
    ablated_layer,
    ablated_pass,
    device_seconds,
    gradient_pass,
    n_launches,
    operations,
    plain_pass,
    product,
    room,
    seconds,
    shares,
)

CARD = Card()
KEEP = 0.5
# Kernels of one layer when TransformerLens runs one mask through hooks, counted on a small Llama: calls of operators
# that are not views.
LENS_LAUNCHES = 73
BATCHES = (
    ("SmolLM2-135M", SMOLLM2, 64, 1, 14),
    ("SmolLM2-135M", SMOLLM2, 1024, 1, 14),
    ("Llama-3.2-1B", LLAMA_1B, 512, 1, 32),
    ("Llama-3.2-1B", LLAMA_1B, 128, 4, 32),
    ("Llama-3.1-8B", LLAMA_8B, 256, 1, 32),
    ("Llama-3.1-8B", LLAMA_8B, 64, 4, 32),
)

BESIDE_PLAIN = (
    "shape, masks × prompts × tokens",
    "GFLOP: ablated, plain, last",
    "GB: ablated, plain, last",
    "launches a layer: ablated, plain",
    "ablated, ms: recorded, not",
    "plain, ms",
    "last, ms",
    "compiled, ms",
    "ablated / plain (bound)",
    "ablated / last (bound)",
    "ablated / compiled (bound)",
)
# Microseconds that the host may need for a launch: of PyTorch's own, and of operators that are called from Python.
HOST_US = (5, 10, 20, 40)
RECORDED = ("recording pays up to so many masks", *(f"{host} µs a launch" for host in HOST_US))
OUTPUT = (
    "shape",
    "rows",
    "cuBLAS, ms",
    "density 1: needed for 0.8×",
    "density ½: needed for 1.4×",
    "density ½: bound",
    f"density ½ at {CARD.kernel:g} of the rate",
)
ONE_AT_A_TIME = (
    "shape, masks at once",
    "one at a time through hooks, masks a second",
    "ablated, masks a second: recorded, not",
    "beside each other: recorded, not",
)
GRADIENTS = ("shape, masks × prompts × tokens", "gradients, ms", "beside plain, last logits", "beside ablated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the page to write")
    options = parser.parse_args()
    text = page(" ".join(["python", *sys.argv]))
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


def page(command: str) -> str:
    """The whole page."""
    tflops, launch = f"{CARD.operations / 1e12:.0f}", f"{1e6 * CARD.launch:.0f} µs"
    return "\n\n".join(
        [
            "# What passes should cost on a GPU",
            f"`{command}`",
            paragraph(
                "**A prediction by arithmetic. Nothing on this page was measured on a GPU.** A launch takes "
                f"its operations at {tflops} TFLOP/s or its bytes at {CARD.bytes / 1e12:.1f} TB/s, whichever "
                f"is longer, and {1e6 * CARD.gap:.0f} µs. These are the rates that a large product and a large "
                "copy reach on an H100 SXM, whose data sheet says 989 and 3.35. The project's own products "
                f"are taken to reach {CARD.kernel:g} of the rate, and all of it in what is called *bound*. "
                "Each launch reads and writes everything once, in bfloat16. Without a CUDA graph the host "
                f"needs at least {launch} a launch. Half of the heads and MLPs are kept, at random."
            ),
            "## An ablated pass beside a plain one",
            table(BESIDE_PLAIN, (beside_plain(*batch) for batch in BATCHES)),
            paragraph(
                "*Plain* is Hugging Face's own pass with SDPA over the same rows at once, all logits; *last* "
                "asks it for those of the last position only, as the ablated pass does; *compiled* takes one "
                "kernel for all that stands between two products, and the last logits only."
            ),
            paragraph(
                "*Recorded*, as a CUDA graph, a pass does not wait for the host, but all its layers have room for one "
                "number of masks that keep their MLP, a bound that they seldom exceed; not recorded, for the "
                f"most in any layer. With 16 layers and half kept that is {percent(512, True)} and "
                f"{percent(512, False)} of 512 masks, {percent(64, True)} and {percent(64, False)} of 64. By this "
                "arithmetic "
                "recording pays only where the host is what is waited for. Ratios are of the faster way. The "
                "plain pass is not recorded, the compiled one is. At 20 to 40 µs a launch it pays below 2 to 4 TFLOP "
                "a pass, whatever the model:"
            ),
            table(RECORDED, (recorded_below(*each) for each in (BATCHES[0], BATCHES[2], BATCHES[4]))),
            "## One layer of Llama-3.2-1B, launch by launch",
            "512 masks, one prompt of 32 tokens:",
            layer_table(LLAMA_1B, 512, 1, 32),
            "128 masks, four prompts of 32 tokens:",
            layer_table(LLAMA_1B, 128, 4, 32),
            paragraph(
                f"From {SKIP_ALONG_K} rows a mask on, a tile of {SKIP_ALONG_K} rows of the output projection "
                "lies within one mask and skips what that mask ablates; below, it would span masks that "
                "together keep nearly every head, and all heads are multiplied. Key/value heads serve four "
                "query heads in this model, and 94 % of them serve a kept one."
            ),
            "## The output projection beside cuBLAS",
            table(OUTPUT, (output_row(*each) for each in (("Llama-3.2-1B", LLAMA_1B), ("Llama-3.1-8B", LLAMA_8B)))),
            paragraph(
                "*Needed* is the share of cuBLAS's rate at which the kernel must multiply what it does not "
                "skip, and *bound* what skipping gives at cuBLAS's own rate."
            ),
            "## Masks a second beside one at a time",
            table(ONE_AT_A_TIME, (one_at_a_time(masks) for masks in (64, 1024))),
            paragraph(
                f"One at a time, TransformerLens makes {LENS_LAUNCHES} launches a layer (counted), each of "
                f"which waits for the host, at {launch}: its own Python comes on top, and on the other side "
                "what the engine does between passes."
            ),
            "## Gradients",
            table(GRADIENTS, (gradients(*batch) for batch in BATCHES[1:])),
            paragraph(
                "Passes with gradients run in plain PyTorch: forward nothing is left out, since the slope of "
                "a gate needs what its component gives; back, the MLPs of rows whose MLP is off are left out. "
                "Weights are frozen and get no gradient."
            ),
        ]
    )


def half(shape: ModelShape, masks: int, prompts: int, tokens: int, *, recorded: bool = True) -> Batch:
    """A batch of masks that keep half, with the room that all layers have for the masks that keep an MLP."""
    return Batch(masks, prompts, tokens, **shares(shape, KEEP), room=room(masks, KEEP, shape.layers, recorded=recorded))


def beside_plain(name: str, shape: ModelShape, masks: int, prompts: int, tokens: int) -> list[str]:
    """One row of the first table."""
    batch = half(shape, masks, prompts, tokens, recorded=False)
    ours = ablated_pass(shape, batch)
    others = [plain_pass(shape, batch, last_only=False), plain_pass(shape, batch, last_only=True)]
    others.append(plain_pass(shape, batch, last_only=True, fused=True))
    times = both_ways(shape, masks, prompts, tokens, CARD)
    time, bound = min(times), min(both_ways(shape, masks, prompts, tokens, replace(CARD, kernel=1.0)))
    passes = [ours, *others[:2]]
    plain_times = [seconds(each, CARD, graph=number == 2) for number, each in enumerate(others)]
    return [
        f"{name}, {masks} × {prompts} × {tokens}",
        ", ".join(f"{operations(each) / 1e9:,.0f}" for each in passes),
        ", ".join(f"{gigabytes(each):.1f}" for each in passes),
        f"{n_launches(ablated_layer(shape, batch)):.0f}, {n_launches(others[0]) // shape.layers:.0f}",
        ", ".join(f"{1e3 * each:.1f}" for each in times),
        *(f"{1e3 * each:.1f}" for each in plain_times),
        *(f"{time / each:.2f} ({bound / each:.2f})" for each in plain_times),
    ]


def percent(masks: int, recorded: bool) -> str:
    """Of the masks, that the MLPs of a pass have room for."""
    return f"{room(masks, KEEP, 16, recorded=recorded):.0%}"


def both_ways(shape: ModelShape, masks: int, prompts: int, tokens: int, card: Card) -> list[float]:
    """Seconds of an ablated pass, recorded in a graph and not."""
    return [
        seconds(ablated_pass(shape, half(shape, masks, prompts, tokens, recorded=graph)), card, graph=graph)
        for graph in (True, False)
    ]


def recorded_below(name: str, shape: ModelShape, _: int, prompts: int, tokens: int) -> list[str]:
    """Up to how many masks of these prompts a recorded pass is the faster one, in steps of 16."""
    found = []
    for host in HOST_US:
        card, masks = replace(CARD, launch=1e-6 * host), 16
        while masks < 4096 and (times := both_ways(shape, masks, prompts, tokens, card))[0] < times[1]:
            masks += 16
        found.append(f"{masks - 16}")
    return [f"{name}, {prompts} × {tokens}", *found]


def gigabytes(launches: Pass) -> float:
    """Read and written."""
    return sum(launch.times * launch.bytes for launch in launches) / 1e9


def layer_table(shape: ModelShape, masks: int, prompts: int, tokens: int) -> str:
    """The launches of one layer that is not the last."""
    layer = ablated_layer(shape, half(shape, masks, prompts, tokens, recorded=False))
    rows = [
        [
            launch.name,
            f"{launch.operations / 1e9:.1f}",
            f"{launch.bytes / 1e6:.0f}",
            f"{1e6 * launch.operations / CARD.operations / (CARD.kernel if launch.own else 1):.0f}",
            f"{1e6 * launch.bytes / CARD.bytes:.0f}",
            f"{1e6 * launch.seconds(CARD):.0f}",
        ]
        for launch in layer
    ]
    rows.append(
        [
            "together",
            f"{operations(layer) / 1e9:.1f}",
            f"{1e3 * gigabytes(layer):.0f}",
            "",
            "",
            f"{1e6 * device_seconds(layer, CARD):.0f}",
        ]
    )
    return table(("launch", "GFLOP", "MB", "operations, µs", "bytes, µs", "predicted, µs"), rows)


def output_row(name: str, shape: ModelShape, masks: int = 128, rows: int = 128) -> list[str]:
    """The projection of all heads by cuBLAS, and of half of them."""
    n, width = masks * rows, shape.heads * shape.d_head
    dense = product("", n, width, shape.d_model).seconds(CARD)

    def kept(share: float, kernel: float) -> float:
        return product("", n, share * width, shape.d_model, own=True).seconds(replace(CARD, kernel=kernel))

    needed = [
        next((rate / 100 for rate in range(1, 101) if dense / kept(share, rate / 100) >= target), float("nan"))
        for share, target in ((1.0, 0.8), (0.5, 1.4))
    ]
    return [
        name,
        f"{masks} × {rows}, {width} → {shape.d_model}",
        f"{1e3 * dense:.3f}",
        f"{needed[0]:.2f}",
        f"{needed[1]:.2f}",
        f"{dense / kept(0.5, 1.0):.2f}×",
        f"{dense / kept(0.5, CARD.kernel):.2f}×",
    ]


def one_at_a_time(masks: int) -> list[str]:
    """SmolLM2's shape, IOI's 14 tokens."""
    slow = 1 / (LENS_LAUNCHES * SMOLLM2.layers * CARD.launch)
    fast = [masks / time for time in both_ways(SMOLLM2, masks, 1, 14, CARD)]
    return [
        f"SmolLM2-135M, {masks}",
        f"{slow:.0f}",
        ", ".join(f"{each:,.0f}" for each in fast),
        ", ".join(f"{each / slow:,.0f}×" for each in fast),
    ]


def gradients(name: str, shape: ModelShape, masks: int, prompts: int, tokens: int) -> list[str]:
    """Forward and back beside forward alone."""
    batch = half(shape, masks, prompts, tokens)
    time = seconds(gradient_pass(shape, batch), CARD, graph=False)
    plain = seconds(plain_pass(shape, batch, last_only=True), CARD, graph=False)
    ablated = min(both_ways(shape, masks, prompts, tokens, CARD))
    return [
        f"{name}, {masks} × {prompts} × {tokens}",
        f"{1e3 * time:.1f}",
        f"{time / plain:.2f}",
        f"{time / ablated:.2f}",
    ]


if __name__ == "__main__":
    main()
