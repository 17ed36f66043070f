"""How near the engine comes to what this processor's matrix products allow.

    python tools/bench/cpu_limit.py --out docs/benchmarks/cpu_limit.md

Every product of one ablated pass (projections with their packed weights, attention, the unembedding) is written down
with its shapes, and each is then timed by itself: same shapes, layout, dtype and threads, on random numbers that are in
the cache as in the pass. *Done* are the operations of all of them; *kept* those that the masks ask for, which is less
where the engine computes single heads or groups of neurons that are ablated (it skips them on GPUs only). *Products
alone* is the time that they take one after the other; the rest of a pass is norms, gates, activations and copies.
*Share of the limit* is products alone as part of the pass; *on what is kept* counts only the kept operations, at the
rate at which the products run. Passes and products take turns, with the same threads.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import circuitspex as cx
from circuitspex.components import KINDS

HEAD = (
    "components",
    "dtype of products",
    "GFLOP done, kept",
    "pass, ms",
    "products alone, ms",
    "their rate, GFLOP/s",
    "share of the limit",
    "on what is kept",
    "most time",
)


@dataclass(frozen=True)
class Product:
    """A product of some shapes: ``kind`` is the operator's name, ``batch`` how many of ``rows x inner x columns``."""

    kind: str
    batch: int
    rows: int
    inner: int
    columns: int
    dtype: torch.dtype

    @property
    def operations(self) -> float:
        """Multiplications and additions; of attention, of both of its products."""
        return 2.0 * self.batch * self.rows * self.inner * self.columns * (2 if self.kind == "attention" else 1)

    def __str__(self) -> str:
        many = f"{self.batch} x " if self.batch > 1 else ""
        return f"{self.kind} {many}{self.rows}x{self.inner}x{self.columns}"

    def alone(self) -> Callable[[], Any]:
        """The product on random numbers."""
        make = torch.Generator().manual_seed(0)

        def random(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=make).to(self.dtype)

        if self.kind == "linear":
            x = random(self.rows, self.inner)
            weight = torch.ops.mkldnn._reorder_linear_weight(random(self.columns, self.inner))
            return lambda: torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
        if self.kind == "attention":
            q = random(self.batch, 1, self.rows, self.inner)
            k, v = (random(self.batch, 1, self.columns, self.inner) for _ in range(2))
            causal = self.rows == self.columns
            return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        a, b = random(self.batch, self.rows, self.inner), random(self.batch, self.inner, self.columns)
        return lambda: a @ b


class Products(TorchDispatchMode):
    """Counts the products that run within it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[Product] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = product_of(str(function.overloadpacket), args)
        if found is not None and found.operations:
            self.seen[found] += 1
        return function(*args, **(kwargs or {}))


def product_of(name: str, args: Any) -> Product | None:
    """What an operator multiplies; None for one that multiplies no matrices."""
    if name == "mkldnn._linear_pointwise":
        x, weight = args[:2]
        return Product("linear", 1, x.numel() // x.shape[-1], x.shape[-1], weight.shape[0], x.dtype)
    if name in ("aten.mm", "aten.addmm"):
        a, b = args[-2:] if name == "aten.mm" else args[1:3]
        return Product("product", 1, a.shape[0], a.shape[1], b.shape[1], a.dtype)
    if name in ("aten.bmm", "aten.baddbmm"):
        a, b = args[-2:] if name == "aten.bmm" else args[1:3]
        return Product("product", a.shape[0], a.shape[1], a.shape[2], b.shape[2], a.dtype)
    if name.startswith("aten._scaled_dot_product"):
        q, k = args[:2]
        return Product("attention", q.shape[0] * q.shape[1], q.shape[2], q.shape[3], k.shape[2], q.dtype)
    return None


def kept_share(game: Any, masks: Any) -> float:
    """Which part of the operations of a pass with nothing skipped the masks ask for, projections and attention alike.

    Of heads their queries, attention and output, and keys and values that a kept head reads; of MLPs and neurons their
    columns and rows. What no mask can ablate is kept.
    """
    cfg = game.model.cfg
    d, width, heads = cfg.d_model, cfg.d_head, cfg.n_heads
    kv = getattr(cfg, "n_key_value_heads", None) or heads
    length, inner = game.task.tokens.shape[1], cfg.d_mlp
    every = kept = 0.0
    for layer in range(cfg.n_layers):
        here = {
            kind: [(i, c) for i, c in enumerate(game.components) if c.layer == layer and c.kind == kind]
            for kind in KINDS
        }
        on = np.ones((len(masks), heads), dtype=bool)
        for i, c in here["head"]:
            on[:, c.start] = masks[:, i]
        groups = on.reshape(len(masks), kv, -1).any(2)
        last = layer == cfg.n_layers - 1
        rows = 1 if last else length  # of the last layer the last position goes on
        per_head = 2 * rows * width * (2 * d + 2 * (length if last else length / 2))
        per_group = 2 * 2 * length * d * width
        mlp = 3 * 2 * rows * d * inner
        share = np.ones(len(masks))
        for i, _ in here["mlp"]:
            share = masks[:, i].astype(float)
        if here["neurons"]:
            share = masks[:, [i for i, _ in here["neurons"]]].mean(1)
        kept += float((on.sum(1) * per_head + groups.sum(1) * per_group + share * mlp).sum())
        every += len(masks) * (heads * per_head + kv * per_group + mlp)
    logits = 2 * d * cfg.d_vocab * len(masks)
    return (kept + logits) / (every + logits)


def measure(model: Any, task: Any, components: str, dtype: str, options: argparse.Namespace) -> list[str]:
    """One row."""
    precision = "model" if dtype == "float32" else dtype
    game = cx.ComponentGame(model, task, components, "mean", precision=precision)
    masks = cx.sample_masks(game.n_players, options.masks, keep=options.keep, seed=0)

    def run() -> None:
        game.evaluate(masks, progress=False)

    run()
    with Products() as seen:
        run()
    alone = {product: product.alone() for product in seen.seen}
    passes: list[float] = []
    times: dict[Product, list[float]] = {product: [] for product in alone}
    for _ in range(options.repeats):
        passes.append(milliseconds(run))
        for product, work in alone.items():
            work()
            times[product].append(min(milliseconds(work) for _ in range(3)))
    one = statistics.median(passes)
    total = {product: seen.seen[product] * statistics.median(found) for product, found in times.items()}
    products = sum(total.values())
    done = sum(count * product.operations for product, count in seen.seen.items()) / 1e9
    whole = full_operations(model, task, options.masks) / 1e9
    kept = min(done, whole * kept_share(game, masks))
    longest = max(total, key=lambda product: total[product])
    rate = 1000 * done / products
    return [
        components,
        dtype,
        f"{done:.1f}, {kept:.1f}",
        f"{one:.0f}",
        f"{products:.0f}",
        f"{rate:.0f}",
        f"{products / one:.0%}",
        f"{1000 * kept / one / rate:.0%}",
        f"{longest}: {total[longest] / one:.0%}",
    ]


def full_operations(model: Any, task: Any, n_masks: int) -> float:
    """Operations of so many passes in which nothing is skipped but positions that nothing reads."""
    cfg = model.cfg
    length, kv = task.tokens.shape[1], getattr(cfg, "n_key_value_heads", None) or cfg.n_heads
    found = 2.0 * cfg.d_model * cfg.d_vocab
    for layer in range(cfg.n_layers):
        last = layer == cfg.n_layers - 1
        rows = 1 if last else length
        found += cfg.n_heads * 2 * rows * cfg.d_head * (2 * cfg.d_model + 2 * (length if last else length / 2))
        found += kv * 2 * 2 * length * cfg.d_model * cfg.d_head + 3 * 2 * rows * cfg.d_model * cfg.d_mlp
    return n_masks * task.n_prompts * found


def milliseconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--components", nargs="+", default=["heads", "heads+mlps", "neurons:64"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--masks", type=int, default=64)
    parser.add_argument("--keep", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, help="write the table as Markdown")
    options = parser.parse_args()
    os.environ.setdefault("CIRCUITSPEX_THREADS", str(torch.get_num_threads()))  # no trial may choose fewer for a pass
    model = cx.load_model(options.model)
    task = cx.tasks.ioi(model, n_prompts=1, seed=0)
    rows = []
    for each in options.components:
        for dtype in options.dtypes:
            rows.append(measure(model, task, each, dtype, options))
            print(*rows[-1], sep=", ", flush=True)
    about = (
        f"{options.model}, {options.masks} masks that keep {options.keep:g}, one prompt of {task.tokens.shape[1]} "
        f"tokens; {torch.get_num_threads()} threads ({platform.machine()}), torch {torch.__version__}; medians of "
        f"{options.repeats}"
    )
    table = "\n".join("| " + " | ".join(row) + " |" for row in [list(HEAD), ["---"] * len(HEAD), *rows])
    command = f"`python tools/bench/cpu_limit.py {' '.join(sys.argv[1:])}`"
    said = " ".join((__doc__ or "").split("\n\n")[2].split())
    text = "\n\n".join(["# How near the engine is to the processor's limit", command, said, about + ".", table]) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
