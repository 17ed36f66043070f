"""The ablation engine beside its peers: milliseconds an ablation (one mask on one prompt), in one run on one machine.

    python tools/bench/ablation.py --out docs/benchmarks/engine
    python tools/bench/ablation.py --models gpt2-small llama-3.2-1b --device cuda --dtype bfloat16

Peers: TransformerLens hooks one mask at a time, TransformerLens hooks with the masks along the batch axis, and the
plain forward pass of Hugging Face (no ablation, SDPA attention, all logits) on a batch of the same size. All take turns
in every round; the table has medians, to be read as ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation_models import SHAPES, build

import circuitspex as cx


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["smollm2-135m"], help=f"a model, or {', '.join(SHAPES)}")
    parser.add_argument("--components", nargs="+", default=["heads", "heads+mlps", "last third", "heads@-1"])
    parser.add_argument("--baselines", nargs="+", default=["mean"])
    parser.add_argument("--keep", nargs="+", type=float, default=[0.5], help="share of components kept")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--prompts", type=int, default=1)
    parser.add_argument("--length", type=int, default=14, help="tokens of a prompt, for random weights")
    parser.add_argument("--masks", type=int, default=64)
    parser.add_argument("--single", type=int, default=3, help="masks to time one at a time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder for ablation.md")
    return parser.parse_args()


def main() -> None:
    options = parse()
    lines = [
        f"`{' '.join(['python', *sys.argv])}` on {options.device}"
        + (f" ({torch.cuda.get_device_name()})" if options.device.startswith("cuda") else ""),
        f"{os.cpu_count()} cores ({platform.machine()}), torch {torch.__version__}, {options.dtype}; "
        f"{options.prompts} prompts, {options.masks} masks, medians of {options.repeats}",
        "",
        "| model | components | baseline, kept | one at a time, ms | hooks batched, ms | plain forward, ms | "
        "batched, ms | fused, ms | one at a time / fused | hooks batched / fused | fused / plain forward | "
        "bfloat16 products: hooks batched /, one at a time /, rms error | gradients / fused | largest difference |",
        "| --- " * 14 + "|",
    ]
    print("\n".join(lines), flush=True)
    for name in options.models:
        model, plain, task = build(name, options.device, getattr(torch, options.dtype), options.prompts, options.length)
        n_layers = int(model.cfg.n_layers)
        for components in options.components:
            for baseline in options.baselines:
                for keep in options.keep:
                    selector = f"layers[{n_layers - n_layers // 3}:{n_layers}].heads"
                    row = measure(
                        model,
                        plain,
                        task,
                        selector if components == "last third" else components,
                        baseline,
                        keep,
                        options,
                    )
                    lines.append(f"| {name} | {components} | {baseline}, {keep:g} | {row}")
                    print(lines[-1], flush=True)
        del model, plain, task
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        text = "# The ablation engine beside its peers\n\n" + "\n".join(lines) + "\n"
        (options.out / "ablation.md").write_text(text)


def measure(
    model: Any, plain: Any, task: Any, components: str, baseline: str, keep: float, options: argparse.Namespace
) -> str:
    """One row of the table."""
    games = {
        name: cx.ComponentGame(model, task, components, baseline, executor=name)
        for name in ("hooks", "batched", "fused")
    }
    near = options.dtype == "float32"
    if near:
        games["near"] = cx.ComponentGame(model, task, components, baseline, precision="bfloat16")
    masks = cx.sample_masks(games["fused"].n_players, options.masks, keep=keep, seed=0)
    few = masks[: options.single]
    runs: dict[str, Any] = {}
    times: dict[str, list[float]] = {}

    def timed(name: str, count: int, work: Callable[[], Any]) -> None:
        _wait(options.device)
        started = time.perf_counter()
        runs[name] = work()
        _wait(options.device)
        times.setdefault(name, []).append(1000 * (time.perf_counter() - started) / (count * options.prompts))

    for _ in range(options.repeats + 1):
        timed("hooks", len(few), lambda: games["hooks"].evaluate(few, progress=False))
        timed("peer", len(masks), lambda: hooks_batched(games["batched"], masks))
        timed("plain", len(masks), lambda: plain_forward(plain, task, len(masks)))
        for name in ("batched", "fused", "near")[: 3 if near else 2]:
            timed(name, len(masks), lambda name=name: games[name].evaluate(masks, progress=False))
        timed("gradients", len(masks), lambda: games["fused"].evaluate(masks, gradients=True, progress=False))
    ms = {name: statistics.median(rounds[1:]) for name, rounds in times.items()}  # the first round warms up
    fused = ms["fused"]
    exact = runs["fused"].per_prompt
    gap = max(np.abs(runs["peer"] - exact).max(), np.abs(runs["hooks"].per_prompt - exact[: len(few)]).max())
    bf16 = "–"
    if near:
        error = np.sqrt(np.mean((runs["near"].per_prompt - exact) ** 2))
        bf16 = f"{ms['peer'] / ms['near']:.2f}×, {ms['hooks'] / ms['near']:.1f}×, {error:.3f}"
    return (
        f"{ms['hooks']:.1f} | {ms['peer']:.1f} | {ms['plain']:.1f} | {ms['batched']:.1f} | {fused:.2f} | "
        f"{ms['hooks'] / fused:.1f}× | {ms['peer'] / fused:.2f}× | {fused / ms['plain']:.2f} | {bf16} | "
        f"{ms['gradients'] / fused:.2f}× | {gap:.1e} |"
    )


def hooks_batched(game: Any, masks: np.ndarray) -> np.ndarray:
    """What a careful user of TransformerLens writes: the masks along the batch axis, whole passes, all logits."""
    group = game._engine._groups[0]
    rows = max(1, game._engine._rows(group, gradients=False) // len(group.task))
    values = []
    with torch.no_grad():
        for start in range(0, len(masks), rows):
            gates = torch.tensor(masks[start : start + rows], dtype=game._engine._dtype, device=game._engine._device)
            padded = torch.cat([gates, gates.new_ones((len(gates), 1))], dim=1)
            hooks = group.forward.hooks(padded, slice(None), 0)
            tokens = group.forward.tokens.repeat(len(gates), 1)
            logits = game.model.run_with_hooks(tokens, fwd_hooks=hooks, use_cache=False)[:, -1]
            places = torch.arange(len(logits))
            answers, wrong = (ids.repeat(len(gates)) for ids in (group.answers, group.wrong_answers))
            values.append((logits[places, answers] - logits[places, wrong]).reshape(len(gates), -1).double().cpu())
    return torch.cat(values).numpy()[:, np.argsort(group.task.indices.numpy())]


def plain_forward(hf_model: Any, task: Any, n_masks: int) -> None:
    """The Hugging Face model's own forward pass over as many rows, in batches of 64."""
    tokens = task.groups[0].tokens.to(next(hf_model.parameters()).device).repeat(n_masks, 1)
    with torch.no_grad():
        for start in range(0, len(tokens), 64):
            hf_model(tokens[start : start + 64], use_cache=False)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
