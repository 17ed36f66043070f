"""R² over the number of ablations: one panel a game, one line a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from cells import Cell
from columns import Column
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from tables import shown

_LOWEST = -0.1  # far below zero, fits are worse than saying the mean: clipped, so that the rest can be told apart


def plot(cells: Sequence[Cell], folder: Path, name: str, *, by_size: bool, title: str) -> list[Path]:
    """Draw cells as PNG and SVG; with ``by_size`` there is a row of panels a game, and a column of panels an n."""
    panels = list(dict.fromkeys((cell.game, cell.n) for cell in cells))
    sizes = sorted({n for _, n in panels})
    n_columns = len(sizes) if by_size else min(3, len(panels))
    n_rows = -(-len(panels) // n_columns) if not by_size else len({game for game, _ in panels})
    figure, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(2.6 + 2.3 * n_columns if by_size else 1 + 3.4 * n_columns, 1.2 + 2.2 * n_rows),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    games = list(dict.fromkeys(game for game, _ in panels))
    axes = dict(zip(panels, grid.flat, strict=False))
    if by_size:
        axes = {(game, n): grid[games.index(game)][sizes.index(n)] for game, n in panels}
    for spare in set(grid.flat) - set(axes.values()):
        spare.set_axis_off()
    columns = shown(cells)
    for (game, n), axis in axes.items():
        mine = [cell for cell in cells if (cell.game, cell.n) == (game, n)]
        for column in columns:
            _line(axis, [cell for cell in mine if cell.column == column.key], column)
        _dress(axis, sorted({cell.ablations for cell in mine}), f"{game}, n = {n}")
    for row in grid:
        row[0].set_ylabel("R², held out")
    handles = [_key(grid[0][0], column) for column in columns]
    fitting = max(1, int(figure.get_figwidth() / 2))  # a label with its line is at most two inches wide
    labels = [column.label for column in columns]
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(fitting, len(columns)), frameon=False, fontsize=9
    )
    figure.suptitle(title, fontsize=11)
    paths = [folder / f"{name}.{kind}" for kind in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi=130)
    plt.close(figure)
    return paths


def _style(column: Column) -> dict[str, object]:
    return {
        "color": column.colour,
        "linestyle": column.line,
        "marker": column.marker,
        "markersize": 3.5 + column.width,
        "linewidth": column.width,
        "alpha": 0.9,
    }


def _key(axis: Axes, column: Column) -> object:
    return axis.plot([], [], **_style(column))[0]


def _line(axis: Axes, cells: Sequence[Cell], column: Column) -> None:
    """The mean over noise levels and repeats; a budget at which any of them has no fit is left out."""
    budgets = [
        budget
        for budget in sorted({cell.ablations for cell in cells})
        if all(cell.r2 is not None for cell in cells if cell.ablations == budget)
    ]
    means = [np.mean([cell.r2 for cell in cells if cell.ablations == budget]) for budget in budgets]
    axis.plot(budgets, np.maximum(means, _LOWEST), **_style(column))


def _dress(axis: Axes, budgets: Sequence[int], title: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_ylim(_LOWEST - 0.03, 1.03)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(budgets))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.set_xlabel("ablations", fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
