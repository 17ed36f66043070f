"""The logit difference as a sum: what each component writes straight into it, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.circuits.about import Breakdown, Description
from circuitspex.circuits.circuit import Circuit, Estimate
from circuitspex.errors import UserError
from circuitspex.export.drawing.plot import SMALL, WIDTH, Paper, finished, metric_of, paper
from circuitspex.export.drawing.style import decimals_of, estimate_text, number, shorten, text_width, title_of
from circuitspex.export.words.saying import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PARTS = 22
ROW, LEFT, TOP = 19.0, 190.0, 80.0

Row = tuple[str, Estimate | float]


def draw(circuit: Circuit, path: str | Path | None = None, *, dark: bool = False) -> Figure:
    """The breakdown of a described circuit, outside pyplot.

    Raises:
        UserError: it is not described.
    """
    if circuit.description is None:
        raise UserError(
            "this circuit is not described, so what each component writes is not known: "
            "circuit = circuit.described(circuit.describe(model, task))"
        )
    return draw_description(circuit.description, path, dark=dark, about=title_of(circuit), metric=metric_of(circuit))


def draw_description(
    description: Description,
    path: str | Path | None = None,
    *,
    dark: bool = False,
    about: str = "",
    metric: str = "",
) -> Figure:
    """The breakdown of a description, outside pyplot.

    Raises:
        UserError: it has none.
    """
    found = description.breakdown
    if found is None:
        lacks = next((each.lacks[0] for each in description.components if each.lacks), "")
        why = f": {lacks}" if lacks else ""
        raise UserError(f"this description has no breakdown of the metric into what components write{why}")
    metric, rows = metric or say("figures.logit_difference"), rows_of(found)
    places = decimals_of([found.total.value, *(_value(size) for _, size in rows)])
    parts = sum(each.value.value for each in found.parts)
    title = " · ".join(part for part in (say("figures.breakdown"), about) if part)
    facts = [
        say(
            "figures.breakdown_sum",
            parts=number(parts, places),
            remainder=number(found.remainder.value, places),
            total=estimate_text(found.total, places),
            metric=metric,
        ),
        say("figures.breakdown_about", n=description.n_prompts),
    ]
    with paper(TOP + ROW * len(rows) + 34, title, facts, dark) as made:
        _paint(made, rows, places, metric)
    return finished(made, path, title)


def rows_of(found: Breakdown) -> list[Row]:
    """The bars: the strongest parts, the sum of the weaker ones, the remainder, the total."""
    parts = sorted(found.parts, key=lambda part: (-abs(part.value.value), part.name))
    count = MAX_PARTS if len(parts) > MAX_PARTS + 1 else len(parts)
    rows: list[Row] = [(part.name, part.value) for part in parts[:count]]
    rest = parts[count:]
    if rest:
        rows.append((say("figures.weaker_parts", n=len(rest)), sum(part.value.value for part in rest)))
    return [*rows, (say("figures.remainder"), found.remainder), (say("figures.total"), found.total)]


def _value(size: Estimate | float) -> float:
    return size.value if isinstance(size, Estimate) else size


def _paint(made: Paper, rows: list[Row], places: int, metric: str) -> None:
    ink = made.palette
    numbers = [estimate_text(size, places) if isinstance(size, Estimate) else number(size, places) for _, size in rows]
    right = max(text_width(text, SMALL) for text in numbers) + 16
    axes = made.axes(LEFT, TOP, WIDTH - LEFT - right, ROW * len(rows))
    axes.axvline(0, color=ink.muted, linewidth=0.8, zorder=0)
    for y, (_, size) in enumerate(rows):
        is_total = y == len(rows) - 1
        look = {"color": ink.text if is_total else ink.muted, "hatch": None} if y >= len(rows) - 2 else {}
        made.bars(axes, [y], [_value(size)], [0.0], **look)
        if isinstance(size, Estimate):
            axes.plot([size.low, size.high], [y, y], color=ink.muted if is_total else ink.text, linewidth=1.4, zorder=4)
        made.text(WIDTH - right + 8, TOP + ROW * (y + 0.5), numbers[y], SMALL, ink.muted)
    axes.axhline(len(rows) - 2.5, color=ink.line, linewidth=0.8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [shorten(name, SMALL, LEFT - 24) for name, _ in rows])
    axes.tick_params("y", length=0)
    axes.grid(axis="x", color=ink.line, linewidth=0.6)
    axes.set_xlabel(metric, fontsize=SMALL, color=ink.muted)
