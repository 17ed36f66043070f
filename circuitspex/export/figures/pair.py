"""A pair's measured 2x2 table as four bars, with what the two would do if they only added up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.circuits.circuit import Circuit, Combination, Interaction
from circuitspex.errors import UserError
from circuitspex.export.drawing.plot import SMALL, TEXT_SIZE, WIDTH, Paper, finished, metric_of, paper
from circuitspex.export.drawing.style import (
    decimals_of,
    effect_text,
    estimate_text,
    number,
    others_text,
    shorten,
)
from circuitspex.export.words.relations import sentence
from circuitspex.export.words.saying import say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Table = dict[tuple[bool, ...], float]
ROWS = ((False, False), (True, False), (False, True), (True, True))
LEFT, TOP, HIGH = 72.0, 112.0, 230.0


def draw(circuit: Circuit, first: str, second: str, path: str | Path | None = None, *, dark: bool = False) -> Figure:
    """The metric with both ablated, one kept, the other kept, both kept; outside pyplot.

    Raises:
        UserError: the circuit has no interaction of these two, or it was not measured.
    """
    edge = pair_of(circuit, first, second)
    tables = [_table(edge, edge.table)]
    if edge.unablated:
        tables.append(_table(edge, edge.unablated))
    places = decimals_of([value for table in tables for value in table.values()])
    effects = [
        say(
            "figures.pair_effects",
            name=each.component,
            without=estimate_text(each.ablated, places),
            other=each.other,
            kept=estimate_text(each.kept, places),
        )
        for each in (() if edge.pair is None else edge.pair.conditional)
    ]
    facts = [say("figures.pair_interaction", effect=effect_text(edge, places), metric=metric_of(circuit)), *effects]
    with paper(TOP + HIGH + 62, sentence(edge), facts, dark) as made:
        width = (WIDTH - LEFT - 24 - 60 * (len(tables) - 1)) / len(tables)
        ends = [value for table in tables for value in (*table.values(), _added(table))]
        limits = min(0.0, *ends), max(0.0, *ends)
        said = (say("figures.pair_over", others=others_text(circuit)), say("figures.pair_kept"))
        for place, (table, about) in enumerate(zip(tables, said, strict=False)):
            _bars(made, edge, table, about, (LEFT + place * (width + 60), width), places, limits)
        made.figure.axes[0].set_ylabel(metric_of(circuit), fontsize=SMALL, color=made.palette.muted)
    return finished(made, path, sentence(edge))


def pair_of(circuit: Circuit, first: str, second: str) -> Interaction:
    """The measured interaction of two components.

    Raises:
        UserError: there is none.
    """
    names = {node.name for node in circuit.nodes}
    for name in (first, second):
        if name not in names:
            raise UserError(f"'{name}' is not in this circuit; its components are {', '.join(sorted(names))}")
    for edge in (*circuit.interactions, *circuit.dropped):
        if set(edge.components) == {first, second} and first != second:
            if not edge.table:
                raise UserError(
                    f"the interaction of {first} and {second} was decoded and not measured, so that it has no table: "
                    "circuitspex.circuits.measure measures it"
                )
            return edge
    pairs = [" × ".join(edge.components) for edge in circuit.interactions if edge.order == 2 and edge.table]
    known = f"its measured pairs are {', '.join(pairs)}" if pairs else "it has no measured pairs"
    raise UserError(f"this circuit has no interaction of {first} and {second}; {known}")


def _table(edge: Interaction, rows: tuple[Combination, ...]) -> Table:
    return {row.kept: row.value for row in rows}


def _added(table: Table) -> float:
    """The metric with both kept, if each did with the other what it does without."""
    return table[True, False] + table[False, True] - table[False, False]


def _bars(
    made: Paper,
    edge: Interaction,
    table: Table,
    about: str,
    at: tuple[float, float],
    places: int,
    limits: tuple[float, float],
) -> None:
    ink, (left, width) = made.palette, at
    axes = made.axes(left, TOP, width, HIGH)
    values = [table[row] for row in ROWS]
    i, j = (shorten(name, TEXT_SIZE, width / 4 - 4) for name in edge.components)
    added = _added(table)
    colours = (ink.line, ink.muted, ink.muted, ink.muted)
    axes.bar(range(4), values, width=0.62, color=colours, linewidth=0)
    axes.plot([2.6, 3.4], [added, added], color=ink.background, linewidth=3.4, zorder=4)  # seen on the bar, too
    axes.plot([2.6, 3.4], [added, added], color=ink.text, linewidth=1.6, linestyle=(0, (3, 2)), zorder=5)
    look = {"arrowstyle": "->", "color": ink.negative if values[3] < added else ink.positive, "lw": 1.8}
    axes.annotate("", (3.46, values[3]), (3.46, added), arrowprops=look)
    low, high = limits
    room = (high - low or 1.0) * 0.09
    for x, value in enumerate(values):
        up = 1 if value >= 0 else -1
        y = value + up * room / 2
        if x == 3 and abs(y - added) < 0.7 * room:  # the dashed line would run through it
            y = max(y, added + 0.6 * room) if up > 0 else min(y, added - 0.6 * room)
        style = {"fontsize": TEXT_SIZE, "color": ink.text, "ha": "center", "va": "center"}
        axes.text(x, y, number(value, places), **style)  # type: ignore[arg-type]
    axes.axhline(0, color=ink.muted, linewidth=0.8)
    axes.set_xlim(-0.5, 3.62)
    axes.set_ylim(low - room, high + room)
    only = (say("figures.pair_only", name=name) for name in (i, j))
    labels = [say("figures.pair_neither"), *only, say("figures.pair_both")]
    axes.set_xticks(range(4), ["\n".join(label.rsplit(" ", 1)) for label in labels])
    axes.tick_params("x", length=0)
    axes.set_title(about, fontsize=TEXT_SIZE, color=ink.muted, loc="left")
    both = number(values[3] - added, places)
    said = say("figures.pair_about", sum=number(added, places), both=both)
    axes.set_xlabel(said, fontsize=SMALL, color=ink.muted)
