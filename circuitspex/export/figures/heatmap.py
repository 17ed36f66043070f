"""Effects as a heat map: a row for each layer, a column for each head, and one for MLPs and every other kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.circuits.circuit import Circuit, Node
from circuitspex.circuits.found import Found
from circuitspex.components import KINDS, parse_component
from circuitspex.errors import ComponentError, UserError
from circuitspex.export.drawing.plot import (
    SMALL,
    WIDTH,
    Paper,
    effects_map,
    finished,
    metric_of,
    needs_effects,
    paper,
)
from circuitspex.export.drawing.style import (
    decimals_of,
    faithfulness_text,
    kind_order,
    number,
    text_width,
    title_of,
)
from circuitspex.export.words.saying import say, say_term

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, TOP, RIGHT = 54.0, 80.0, 66.0
GAP = 0.5
"""Between heads and the other kinds, in columns."""
_HEAD_KINDS = ("head", "query", "key", "value")


@dataclass
class Cell:
    """What stands in one place of the map: the sum of the effects there, over ``count`` components."""

    effect: float = 0.0
    count: int = 0
    certain: bool = False


@dataclass
class Grid:
    """The cells by (layer, column), the columns' names, and which places the model does not have."""

    n_layers: int
    n_heads: int
    others: list[str]
    cells: dict[tuple[int, int], Cell] = field(default_factory=dict)
    missing: set[tuple[int, int]] = field(default_factory=set)

    @property
    def n_columns(self) -> int:
        """Of heads and of the other kinds."""
        return self.n_heads + len(self.others)

    def left(self, column: int) -> float:
        """The left edge of a column, in columns."""
        return column + (GAP if self.n_heads and column >= self.n_heads else 0.0)


def draw(circuit: Circuit, path: str | Path | None = None, *, dark: bool = False) -> Figure:
    """The components of a circuit; what is not in it is left empty."""
    needs_effects(circuit, "a heat map")
    return _draw(circuit, list(circuit.nodes), say("figures.heat_circuit"), path, dark)


def draw_found(found: Found, path: str | Path | None = None, *, dark: bool = False) -> Figure:
    """All components that were searched: measured effects of those in the circuit, decoded ones of the others."""
    circuit = found.circuit  # which may be empty: nothing may have replicated, and yet all was decoded
    nodes = {node.name: node for node in (*circuit.nodes, *circuit.dropped_nodes)}
    for name in found.interactions.names:
        if name not in nodes:
            nodes[name] = Node(name, *_place(name), found.interactions.effect(name))
    note = say("figures.heat_found")
    return _draw(circuit, list(nodes.values()), note, path, dark)


def _place(name: str) -> tuple[int, str]:
    """The layer and the kind of a component that is known by its name alone."""
    try:
        found = parse_component(name)
    except ComponentError:
        raise UserError(f"a heat map shows layers of a model, and '{name}' is in none") from None
    return found.layer, found.kind


def grid_of(circuit: Circuit, nodes: Sequence[Node]) -> Grid:
    """Where each component stands.

    Raises:
        UserError: they are in no layers, words of a prompt for example.
    """
    if not circuit.has_layers:
        lens = str(circuit.run.get("lens"))
        raise UserError(f"a heat map shows layers of a model, and these are players of the lens '{lens}', in no layers")
    places = {node.name: (node.layer, _column(node)) for node in nodes}
    heads = [column for _, column in places.values() if isinstance(column, int)]
    others = sorted({c for _, c in places.values() if isinstance(c, str)}, key=lambda c: (_order(c, nodes), c))
    per_layer = _list(circuit.model.get("heads"))
    has_mlp = _list(circuit.model.get("mlps"))
    known_heads = max([*per_layer, _whole(circuit.model.get("n_heads"))], default=0)
    n_heads = max([known_heads, *(head + 1 for head in heads)]) if heads else 0
    n_layers = max([_whole(circuit.model.get("n_layers")), *(layer + 1 for layer, _ in places.values())])
    grid = Grid(n_layers, n_heads, others)
    for node in nodes:
        layer, column = places[node.name]
        key = layer, column if isinstance(column, int) else n_heads + others.index(column)
        cell = grid.cells.setdefault(key, Cell())
        cell.effect, cell.count = cell.effect + node.effect, cell.count + 1
        cell.certain = cell.certain or (node.measured is not None and node.is_distinct)
    for layer, count in enumerate(per_layer[:n_layers]):
        grid.missing |= {(layer, head) for head in range(count, n_heads)}
    if "MLP" in others:
        column = n_heads + others.index("MLP")
        grid.missing |= {(layer, column) for layer, has in enumerate(has_mlp[:n_layers]) if not has}
    grid.missing -= set(grid.cells)
    return grid


def _column(node: Node) -> int | str:
    """The head, or the name of the column of its kind."""
    if node.kind in _HEAD_KINDS:
        try:
            return parse_component(node.name).start
        except ComponentError:
            pass  # of another tool, which writes it otherwise
    return say_term("legend", KINDS[node.kind].legend) if node.kind in KINDS else node.kind


def _order(column: str, nodes: Sequence[Node]) -> int:
    return min(kind_order(node.kind) for node in nodes if _column(node) == column)


def _list(value: Any) -> list[int]:
    return [int(each) for each in value] if isinstance(value, list | tuple) else []


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _draw(circuit: Circuit, nodes: Sequence[Node], note: str, path: str | Path | None, dark: bool) -> Figure:
    grid = grid_of(circuit, nodes)
    columns = grid.left(grid.n_columns - 1) + 1
    wide = min((WIDTH - LEFT - RIGHT) / columns, 46.0)
    high = min(22.0, max(10.0, 620 / grid.n_layers))
    largest = max(abs(cell.effect) for cell in grid.cells.values()) or 1.0
    several = sum(cell.count > 1 for cell in grid.cells.values())
    title = " · ".join(part for part in (say("figures.heat"), title_of(circuit)) if part)
    facts = [
        say("figures.heat_about", metric=metric_of(circuit), r2=faithfulness_text(circuit)),
        "; ".join([note, *([say("figures.heat_several", n=several)] if several else [])]),
    ]
    with paper(TOP + high * grid.n_layers + (80 if len(grid.others) > 1 else 34), title, facts, dark) as made:
        axes = made.axes(LEFT, TOP, wide * columns, high * grid.n_layers)
        _cells(made, axes, grid, largest, (wide, high))
        _ticks(axes, grid, (wide, high))
        axes.set_xlim(0, columns)
        axes.set_ylim(0, grid.n_layers)
        axes.spines[:].set_visible(False)
        axes.set_ylabel(say("figures.layer"), fontsize=SMALL, color=made.palette.muted)
        _scale(made, LEFT + wide * columns + 14, min(high * grid.n_layers, 180.0), largest)
    return finished(made, path, title)


def _cells(made: Paper, axes: Axes, grid: Grid, largest: float, size: tuple[float, float]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    ink, colours = made.palette, effects_map(made.palette)
    places = decimals_of([largest])
    numbers = size[0] >= text_width(number(-largest, places), SMALL) + 2 and size[1] >= SMALL + 3
    inset = 0.06

    def square(layer: int, column: int) -> Rectangle:
        return Rectangle((grid.left(column) + inset / 2, layer + inset / 2), 1 - inset, 1 - inset)

    places_of = [(layer, column) for layer in range(grid.n_layers) for column in range(grid.n_columns)]
    empty = [square(*at) for at in places_of if at not in grid.missing and at not in grid.cells]
    look: dict[str, Any] = {"linewidth": 0.8, "match_original": False}
    axes.add_collection(PatchCollection(empty, facecolor=ink.band, edgecolor=ink.background, **look))
    faces = {at: colours(0.5 + cell.effect / largest / 2) for at, cell in grid.cells.items()}
    edges = [ink.text if cell.certain else ink.line for cell in grid.cells.values()]
    shown = [square(*at) for at in grid.cells]
    axes.add_collection(PatchCollection(shown, facecolor=list(faces.values()), edgecolor=edges, **look))
    for (layer, column), cell in grid.cells.items():
        text = number(cell.effect, places) if numbers else "−" if cell.effect < -0.03 * largest else ""
        style: dict[str, Any] = {"fontsize": SMALL, "ha": "center", "va": "center_baseline"}
        axes.text(grid.left(column) + 0.5, layer + 0.46, text, color=_on(faces[layer, column]), **style)


def _on(face: Sequence[float]) -> str:
    """Black or white, whichever is read better on that colour (relative luminance of WCAG 2)."""
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in face[:3])
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"


def _ticks(axes: Axes, grid: Grid, size: tuple[float, float]) -> None:
    every = max(1, round(13 / size[1] + 0.49))
    rows = range(0, grid.n_layers, every)
    axes.set_yticks([row + 0.5 for row in rows], [str(row) for row in rows])
    step = max(1, round(18 / size[0] + 0.49))
    named: Mapping[float, str] = {grid.left(head) + 0.5: f"H{head}" for head in range(0, grid.n_heads, step)} | {
        grid.left(grid.n_heads + i) + 0.5: name for i, name in enumerate(grid.others)
    }
    axes.set_xticks(list(named), list(named.values()))
    if max((text_width(name, SMALL) for name in grid.others), default=0.0) > size[0] - 2 and len(grid.others) > 1:
        for label in axes.get_xticklabels()[-len(grid.others) :]:
            label.set_rotation(90)
    axes.tick_params(length=0)


def _scale(made: Paper, left: float, height: float, largest: float) -> None:
    import numpy as np

    axes = made.axes(left, TOP, 12, height)
    ramp = np.linspace(-largest, largest, 128)[:, None]
    axes.imshow(ramp, cmap=effects_map(made.palette), aspect="auto", origin="lower", extent=(0, 1, -largest, largest))
    axes.yaxis.tick_right()
    ends, places = (-largest, 0.0, largest), decimals_of([largest])
    axes.set_yticks(ends, [number(end, places) for end in ends])
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
