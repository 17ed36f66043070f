"""Interactions of three components and more as an UpSet plot (Lex et al., 2014): the sets as columns of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.circuits.circuit import Circuit, Interaction, Node
from circuitspex.errors import UserError
from circuitspex.export.drawing.plot import HATCH, SMALL, WIDTH, Paper, finished, metric_of, needs_effects, paper
from circuitspex.export.drawing.style import decimals, number, reading_order, shorten, text_width, title_of
from circuitspex.export.words.saying import say
from circuitspex.scale import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_SETS, MAX_MEMBERS = 24, 40
LEFT, RIGHT, TOP, HIGH, ROW, GAP = 36.0, 24.0, 66.0, 170.0, 17.0, 14.0
EFFECTS, NAMES = 100.0, 112.0
"""Widths of the bars of single components at the left, and of their names beside the matrix."""


def draw(circuit: Circuit, path: str | Path | None = None, *, order: int = 3, dark: bool = False) -> Figure:
    """The sets of at least ``order`` components, the strongest first; outside pyplot.

    Raises:
        UserError: the circuit has none.
    """
    needs_effects(circuit, "an UpSet plot")
    order = whole(order, "order", 2)
    sets = sorted(
        (edge for edge in circuit.interactions if edge.order >= order),
        key=lambda edge: (-abs(edge.effect), edge.components),
    )
    if not sets:
        largest = max((edge.order for edge in circuit.interactions), default=0)
        known = f"its largest have {largest}: order={largest} draws them" if largest > 1 else "it has no interactions"
        raise UserError(f"this circuit has no interaction of {order} or more components; {known}")
    shown = sets[:MAX_SETS]
    while len(_members(circuit, shown)) > MAX_MEMBERS and len(shown) > 1:
        shown = shown[:-1]
    members = _members(circuit, shown)
    title = " · ".join(part for part in (say("figures.sets", order=order), title_of(circuit)) if part)
    count = (
        say("figures.sets_some", n=len(shown), all=len(sets))
        if len(shown) < len(sets)
        else say("figures.sets_all", n=len(sets))
    )
    facts = [say("figures.sets_about", count=count, metric=metric_of(circuit))]
    with paper(TOP + HIGH + GAP + ROW * len(members) + 26, title, facts, dark) as made:
        _paint(made, circuit, shown, members)
    return finished(made, path, title)


def _members(circuit: Circuit, sets: Sequence[Interaction]) -> list[Node]:
    names = {name for edge in sets for name in edge.components}
    return sorted((node for node in circuit.nodes if node.name in names), key=reading_order)


def _paint(made: Paper, circuit: Circuit, sets: Sequence[Interaction], members: Sequence[Node]) -> None:
    ink, places = made.palette, decimals(circuit)
    left = LEFT + EFFECTS + NAMES
    width = min(WIDTH - left - RIGHT, 46.0 * len(sets))
    above, low = TOP, TOP + HIGH + GAP
    upper = made.axes(left, above, width, HIGH)
    matrix = made.axes(left, low, width, ROW * len(members))
    single = made.axes(LEFT, low, EFFECTS, ROW * len(members))
    upper.axhline(0, color=ink.muted, linewidth=0.8)
    room = text_width(number(-1.0, places), SMALL) + 2 <= width / len(sets)
    for x, edge in enumerate(sets):
        _bar(made, upper, edge, x, level=False)
        if room:
            _number(made, upper, edge, x, places)
    rows = {node.name: y for y, node in enumerate(members)}
    for y in range(0, len(members), 2):
        matrix.axhspan(y - 0.5, y + 0.5, color=ink.band, linewidth=0, zorder=0)
    matrix.plot(
        [x for x in range(len(sets)) for _ in rows], [*rows.values()] * len(sets), "o", color=ink.line, markersize=5
    )
    for x, edge in enumerate(sets):
        at = sorted(rows[name] for name in edge.components)
        matrix.plot([x, x], [at[0], at[-1]], color=ink.text, linewidth=1.6, zorder=2)
        matrix.plot([x] * len(at), at, "o", color=ink.text, markersize=7, zorder=3)
    for y, node in enumerate(members):
        _bar(made, single, node, y, level=True)
        made.text(left - 8, low + ROW * (y + 0.5), shorten(node.name, SMALL, NAMES - 14), SMALL, ha="right")
    single.axvline(0, color=ink.muted, linewidth=0.8)
    for axes in (matrix, single):
        axes.set_ylim(len(members) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    for axes in (matrix, upper):
        axes.set_xlim(-0.5, len(sets) - 0.5)
        axes.set_xticks([])
    upper.spines["bottom"].set_visible(False)
    upper.grid(axis="y", color=ink.line, linewidth=0.6)
    single.set_xlabel(say("figures.sets_alone"), fontsize=SMALL, color=ink.muted)
    single.tick_params("x", labelsize=SMALL)
    upper.set_ylabel(say("figures.sets_together"), fontsize=SMALL, color=ink.muted)


def _bar(made: Paper, axes: Axes, part: Node | Interaction, at: float, level: bool) -> None:
    ink = made.palette
    colour = ink.negative if part.effect < 0 else ink.positive
    face = colour if part.measured else ink.background
    look: dict[str, Any] = {
        "color": face,
        "edgecolor": ink.background if part.measured else colour,
        "linewidth": 0.0 if part.measured else 1.4,
    }
    hatch = HATCH if part.effect < 0 and part.measured else None
    (axes.barh if level else axes.bar)(at, part.effect, 0.6, hatch=hatch, **look)
    if part.shown is not None:
        ends = [part.shown.low, part.shown.high]
        across, along = ([at, at], ends) if not level else (ends, [at, at])
        axes.plot(across, along, color=ink.text, linewidth=1.4, zorder=4)


def _number(made: Paper, axes: Axes, edge: Interaction, x: float, places: int) -> None:
    end = edge.effect if edge.shown is None else edge.shown.low if edge.effect < 0 else edge.shown.high
    style: dict[str, Any] = {"ha": "center", "va": "top" if edge.effect < 0 else "bottom", "fontsize": SMALL}
    offset = (0, -2) if edge.effect < 0 else (0, 2)
    axes.annotate(
        number(edge.effect, places), (x, end), offset, textcoords="offset points", color=made.palette.text, **style
    )
    axes.margins(y=0.14)
