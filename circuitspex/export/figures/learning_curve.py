"""How much is explained after how many ablations, and how many would be needed: the learning curve of a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.found import Found, Stage
from circuitspex.circuits.search.stages import BEYOND, likely_budget
from circuitspex.errors import UserError
from circuitspex.export.drawing.plot import MARGIN, SMALL, TEXT_SIZE, WIDTH, Paper, finished, paper
from circuitspex.export.drawing.style import number, title_of
from circuitspex.export.words.saying import say
from circuitspex.recovery.result import LOW_R2
from circuitspex.recovery.scoring.learning_curve import power_law

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEFT, TOP, HIGH = 56.0, 84.0, 280.0


def draw(circuit: Circuit, path: str | Path | None = None, *, dark: bool = False) -> Figure:
    """The curve that a circuit's record has; its last point is the R² on the held-out masks.

    Raises:
        UserError: the search had one stage only.
    """
    stages = circuit.run.get("learning_curve")
    curve = [_stage(each) for each in stages] if isinstance(stages, list) else []
    found, run = circuit.faithfulness, circuit.run
    spent = sum(run[key] for key in ("gradient_ablations", "plain_ablations") if isinstance(run.get(key), int))
    if found.r2 is not None and spent > max((stage.n_ablations for stage in curve), default=0):
        ends = (found.r2, found.r2) if found.low is None or found.high is None else (found.low, found.high)
        curve.append(Stage(spent, found.r2, *ends, found.n_masks))
    return _draw(circuit, curve, path, dark)


def draw_found(found: Found, path: str | Path | None = None, *, dark: bool = False) -> Figure:
    """The curve of a search.

    Raises:
        UserError: it had one stage only.
    """
    return _draw(found.circuit, found.learning_curve, path, dark)


def _stage(record: dict[str, float | None]) -> Stage:
    """A stage as ``circuit.json`` has it."""
    return Stage(
        int(record.get("n_ablations") or 0),
        record.get("r2"),
        record.get("low"),
        record.get("high"),
        int(record.get("n_masks") or 0),
    )


def _draw(circuit: Circuit, stages: Sequence[Stage], path: str | Path | None, dark: bool) -> Figure:
    curve = [stage for stage in stages if stage.r2 is not None and stage.n_ablations > 0]
    if len({stage.n_ablations for stage in curve}) < 2:
        raise UserError(
            "this search had one stage, so there is no learning curve: search with until=0.9, which measures R² in "
            "stages and stops when it is reached"
        )
    until = circuit.run.get("until")
    target = float(until) if isinstance(until, int | float) else LOW_R2
    spent = curve[-1].n_ablations
    reached = next((stage for stage in curve if stage.reaches(target)), None)
    needed = None if reached is not None else likely_budget(curve, target, spent)
    title = " · ".join(part for part in (say("figures.curve"), title_of(circuit)) if part)
    if reached is not None:
        said = say("figures.curve_reached", target=f"{target:g}", ablations=f"{reached.n_ablations:,}")
    elif needed is not None:
        said = say("figures.curve_likely", target=f"{target:g}", ablations=f"{needed:,}", spent=f"{spent:,}")
    else:
        said = say("figures.curve_beyond", target=f"{target:g}", ablations=f"{BEYOND * spent:,}", spent=f"{spent:,}")
    facts = [
        said,
        say("figures.curve_about"),
    ]
    with paper(TOP + HIGH + 46, title, facts, dark) as made:
        _paint(made, curve, target, needed)
    return finished(made, path, title)


def _paint(made: Paper, curve: Sequence[Stage], target: float, needed: int | None) -> None:
    ink = made.palette
    axes = made.axes(LEFT, TOP, WIDTH - LEFT - MARGIN - 10, HIGH)
    sizes = [stage.n_ablations for stage in curve]
    values = np.array([0.0 if stage.r2 is None else stage.r2 for stage in curve])
    ends = np.array([[stage.low, stage.high] for stage in curve], float)
    last = max([*sizes, needed or 0])
    axes.set_xscale("log")
    axes.vlines(sizes, ends[:, 0], ends[:, 1], color=ink.positive, linewidth=2.2, alpha=0.55)
    axes.plot(sizes, values, "o-", color=ink.positive, linewidth=1.8, markersize=6)
    law = power_law(list(zip(sizes, values.tolist(), strict=True)))
    if law is not None:
        beyond = np.geomspace(sizes[0], last * 1.15, 200)
        missing = np.exp(law[0]) * beyond ** law[1]
        axes.plot(beyond, 1 - missing, color=ink.muted, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            say("figures.curve_law"),
            (beyond[-1], 1 - missing[-1]),
            (-4, -34),
            textcoords="offset points",
            fontsize=SMALL,
            color=ink.muted,
            ha="right",
        )
    axes.axhline(target, color=ink.negative, linewidth=1.1, linestyle=(0, (2, 2)))
    axes.annotate(
        say("figures.curve_target", target=f"{target:g}"),
        (0.005, target),
        (0, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=SMALL,
        color=ink.text,
    )
    low = max(min(target, float(np.nanmin(ends))), -1.0)
    axes.set_ylim(low - 0.12 * (1 - low), 1 + 0.04 * (1 - low))
    axes.set_xlim(sizes[0] / 1.15, last * 1.2)
    for size, value in zip(sizes, values, strict=True):
        text = number(float(value), 2, sign=False)
        axes.annotate(
            text, (size, max(value, low)), (7, -11), textcoords="offset points", fontsize=TEXT_SIZE, color=ink.text
        )
    ticks = sorted({*sizes, *([needed] if needed else [])})
    if needed:
        axes.axvline(needed, color=ink.negative, linewidth=1.1, linestyle=(0, (2, 2)))
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(axis="y", color=ink.line, linewidth=0.6)
    axes.set_xlabel(say("figures.curve_x"), fontsize=TEXT_SIZE, color=ink.muted)
    axes.set_ylabel(say("figures.curve_y"), fontsize=TEXT_SIZE, color=ink.muted)
