"""One row of the table of the engine on a GPU: every way over the same rows at once, several times in turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from ablation_peers import hooks_batched, plain_forward
from device_time import peak_gib, wait, wall_ms
from model_shapes import ModelShape
from operator_counts import fallbacks, not_as_it_should, operators_called, switched_off
from pass_cost import Batch, Card, Pass, ablated_layer, operations, product, seconds

import circuitspex as cx

HEADINGS = (
    "model, components, kept",
    "masks × prompts × tokens, rows at once",
    "plain, all logits, ms",
    "plain, last logits, ms",
    "the same compiled, ms",
    "hooks batched, ms",
    "fused without kernels, ms",
    "fused, not recorded, ms",
    "fused, ms (whole call)",
    "fused / plain: all, last, compiled",
    "one at a time, ms a mask",
    "masks a second: fused, one at a time, ratio",
    "gradients, ms, beside fused",
    "peak GiB beside the weights: plain last, fused not recorded",
    "fused: GFLOP, share of the ceiling, ms by arithmetic on an H100",
    "largest difference from one at a time",
)


@dataclass
class Measured:
    """A row's cells, and what was not as it should be."""

    cells: list[str]
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    """What one row is about."""

    model: Any
    plain: Any
    task: Any
    components: str
    baseline: str
    keep: float
    n_masks: int
    rows: int  # at once, the same for every way
    single: int  # masks one at a time
    repeats: int
    compiled: Callable[..., Any] | None
    shape: ModelShape | None
    ceiling: float  # TFLOP/s


def measure_on_card(case: Case) -> Measured:
    """Times are medians of whole passes, with the host's part of them; only 'whole call' also reads the model anew."""
    device = str(next(case.plain.parameters()).device)

    def game(executor: Any, rows: int | None = case.rows) -> Any:
        return cx.ComponentGame(
            case.model, case.task, case.components, case.baseline, executor=executor, batch_rows=rows
        )

    fused, hooks, batched = game("auto"), game("hooks"), game("batched")
    with switched_off("kernels"):
        plain_fused = game("fused")
    masks = cx.sample_masks(fused.n_players, case.n_masks, keep=case.keep, seed=0)
    gates = masks.astype(np.float64)
    called = operators_called(lambda: fused._engine.evaluate(gates))

    def unrecorded() -> Any:
        with switched_off("graphs"):
            return fused._engine.evaluate(gates)

    def without_kernels() -> Any:
        with switched_off("kernels"):
            return plain_fused._engine.evaluate(gates)

    def forward(*, last_only: bool) -> Callable[[], Any]:
        return lambda: plain_forward(case.plain, case.task, case.n_masks, rows=case.rows, last_only=last_only)

    ways: dict[str, Callable[[], Any]] = {
        "all": forward(last_only=False),
        "last": forward(last_only=True),
        "batched": lambda: hooks_batched(batched, masks),
        "off": without_kernels,
        "unrecorded": unrecorded,
        "fused": lambda: fused._engine.evaluate(gates),
        "whole": lambda: fused.evaluate(masks, progress=False),
    }
    if case.compiled is not None:
        ways["compiled"] = lambda: plain_forward(case.compiled, case.task, case.n_masks, rows=case.rows, last_only=True)
    ms = in_turns(ways, device, case.repeats)
    alone = [
        wall_ms(lambda row=row: hooks._engine.evaluate(gates[row : row + 1]), device, 1)
        for row in (0, *range(case.single))
    ]
    ms["single"] = statistics.median(alone[1:])
    slopes = game("auto", None)
    ms["slopes"] = in_turns({"": lambda: slopes._engine.evaluate(gates, gradients=True)}, device, 2)[""]
    peaks = [peak_gib(ways[name], device) if ms[name] == ms[name] else float("nan") for name in ("last", "unrecorded")]
    few = min(case.single, case.n_masks)
    values, expected = fused._engine.evaluate(gates)[0][:few], hooks._engine.evaluate(gates[:few])[0]
    wrong = not_as_it_should(fused, called, device) + (fallbacks(device) if device.startswith("cuda") else [])
    return Measured(cells(case, ms, peaks, float(np.abs(values - expected).max()), work_of(case, fused, masks)), wrong)


def in_turns(ways: dict[str, Callable[[], Any]], device: str, repeats: int) -> dict[str, float]:
    """Medians of milliseconds, after a round that warms up; NaN for what needs more memory than there is."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(repeats + 1):
        for name, work in ways.items():
            if len(times[name]) < round_:
                continue
            try:
                times[name].append(wall_ms(work, device, 1))
            except torch.cuda.OutOfMemoryError:
                times[name].clear()
                torch.cuda.empty_cache()
            wait(device)
    return {name: statistics.median(found[1:]) if len(found) > 1 else float("nan") for name, found in times.items()}


def work_of(case: Case, game: Any, masks: np.ndarray) -> Pass:
    """The launches of one pass over all masks, from what they keep; none where only parts of layers are gated."""
    kinds = {component.kind for component in game.components}
    if case.shape is None or not kinds <= {"head", "mlp"} or any(c.position is not None for c in game.components):
        return []
    length, prompts, last = case.task.groups[0].length, case.task.n_prompts, case.shape.layers - 1
    launches = []
    for layer in range(case.shape.layers):
        own = [i for i, c in enumerate(game.components) if c.kind == "head" and c.layer == layer]
        on = masks[:, own] if own else np.ones((len(masks), case.shape.heads), dtype=bool)
        kv = on.reshape(len(masks), case.shape.kv, -1).any(-1)
        mlp = masks[:, [i for i, c in enumerate(game.components) if c.kind == "mlp" and c.layer == layer]]
        shares = (on.mean(), kv.mean(), mlp.mean() if mlp.size else 1.0)
        batch = Batch(len(masks), prompts, length, *map(float, shares))
        launches += ablated_layer(case.shape, batch, tail=1 if layer == last else None)
    return [*launches, product("unembedding", len(masks) * prompts, case.shape.d_model, case.shape.vocab)]


def cells(case: Case, ms: dict[str, float], peaks: list[float], apart: float, launches: Pass) -> list[str]:
    """The row, from the second column on."""
    length, prompts = case.task.groups[0].length, case.task.n_prompts
    fused, compiled = ms["fused"], ms.get("compiled", float("nan"))
    amount, predicted = (
        (operations(launches), 1000 * seconds(launches, Card(), graph=True)) if launches else [float("nan")] * 2
    )
    rate, slow = 1000 * case.n_masks / fused, 1000 / ms["single"]
    return [
        f"{case.n_masks} × {prompts} × {length}, {case.rows}",
        *(shown(ms.get(name, float("nan"))) for name in ("all", "last", "compiled", "batched", "off", "unrecorded")),
        f"{shown(fused)} ({shown(ms['whole'])})",
        ", ".join(shown(fused / each, 2) for each in (ms["all"], ms["last"], compiled)),
        shown(ms["single"]),
        f"{rate:,.0f}, {slow:,.1f}, {rate / slow:,.0f}×",
        f"{shown(ms['slopes'])}, {shown(ms['slopes'] / fused, 2)}×",
        ", ".join(shown(peak) for peak in peaks),
        f"{shown(amount / 1e9, 0)}, {shown(amount / fused / 1e9 / case.ceiling, 2)}, {shown(predicted)}",
        f"{apart:.1e}",
    ]


def shown(number: float, digits: int = 1) -> str:
    """A dash for what was not measured."""
    return "–" if number != number else f"{number:,.{digits}f}"
