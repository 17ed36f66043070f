"""The examination of a circuit as a figure: its curve beside the baselines, what it leaves, what each part is for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.report import Report
from circuitspex.export.drawing.sheet import frame, write_figure
from circuitspex.export.drawing.style import DARK, LIGHT, Palette, shorten
from circuitspex.export.words.saying import say, say_term
from circuitspex.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PARTS = 20
# Colour, dash and marker of each way: told apart without colour too. Okabe and Ito's palette.
_LOOKS = {
    "chosen": ("#0072B2", "-", "o", 2.4),
    "matched": ("#009E73", "-", "s", 2.0),
    "NAP": ("#D55E00", "--", "^", 1.4),
    "|NAP|": ("#D55E00", ":", "v", 1.4),
    "NAP-IG": ("#CC79A7", "--", "D", 1.4),
    "|NAP-IG|": ("#CC79A7", ":", "d", 1.4),
    "random": ("#888888", "-.", "x", 1.4),
}


def draw(report: Report, dark: bool = False) -> Figure:
    """The figure, outside pyplot: faithfulness over size, the areas, and what the circuit loses with each component."""
    import matplotlib.style
    from matplotlib.figure import Figure

    palette = DARK if dark else LIGHT
    with matplotlib.style.context({"font.size": 9, "text.parse_math": False}, after_reset=True):
        figure = Figure(figsize=(11, 6.4), facecolor=palette.background, layout="constrained", dpi=100)
        grid = figure.add_gridspec(2, 2, width_ratios=(1.7, 1))
        curve, areas = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1])
        parts = figure.add_subplot(grid[1, 1])
        for axes in (curve, areas, parts):
            frame(axes, palette)
            axes.tick_params(colors=palette.muted, labelsize=8)
        _curves(curve, report, palette)
        _areas(areas, report, palette)
        _parts(parts, report, palette)
        about = report.about
        title = " · ".join(printable(about[key]) for key in ("model", "task", "metric") if about.get(key))
        figure.suptitle(
            shorten(say("figures.report_title", about=title, n=report.n_prompts), 12, 700),
            color=palette.text,
            fontsize=12,
            fontweight="bold",
            x=0.01,
            ha="left",
        )
    return figure


def write(report: Report, path: Path, dark: bool = False) -> Path:
    """Write the figure as PNG, SVG or PDF, by the ending of the path; UserError names these."""
    return write_figure(draw(report, dark), path, "Report", dpi=160)


def _curves(axes: Axes, report: Report, palette: Palette) -> None:
    sizes = report.sizes
    places = [sizes.index(size) for size in dict.fromkeys(sizes) if size]
    x = list(range(len(places)))
    for level in (1, 0):
        axes.axhline(level, color=palette.line, linewidth=0.8)
    for name, curve in report.curves.items():
        if name not in _LOOKS:
            continue
        colour, dash, marker, width = _LOOKS[name]
        values = [curve.values[place] for place in places]
        label = say(
            "figures.report_curve",
            name=say_term("way", name),
            cpr=f"{curve.cpr.value:z.2f}",
            cmd=f"{curve.cmd.value:z.2f}",
        )
        line = [v.value for v in values]
        axes.plot(x, line, color=colour, ls=dash, marker=marker, markersize=4, linewidth=width, label=label)
        if name in ("chosen", "matched"):
            axes.fill_between(x, [v.low for v in values], [v.high for v in values], color=colour, alpha=0.15, lw=0)
    left, label = [report.removed[place].value for place in places], say("figures.report_removed")
    axes.plot(x, left, color=palette.muted, linewidth=1.2, linestyle=(0, (1, 2)), label=label)
    axes.set_xticks(x, [str(sizes[place]) for place in places])
    axes.set_xlabel(say("figures.report_x"), color=palette.text)
    axes.set_ylabel(say("figures.report_y"), color=palette.text)
    legend = axes.legend(fontsize=7.5, frameon=False, loc="upper left")
    for text in legend.get_texts():
        text.set_color(palette.text)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.35 * (high - low))  # room for the legend above the curves


def _areas(axes: Axes, report: Report, palette: Palette) -> None:
    names = [name for name in _LOOKS if name in report.curves][::-1]
    rows = [(say_term("way", name), report.curves[name].cpr, _LOOKS[name][0], _LOOKS[name][2]) for name in names]
    _intervals(axes, rows, say("figures.report_cpr"), palette, linewidth=2, markersize=6)


def _parts(axes: Axes, report: Report, palette: Palette) -> None:
    looks = {True: (palette.positive, "o"), False: (palette.muted, "x")}
    rows = [(shorten(part.name, 7, 160), part.loss, *looks[part.needed]) for part in report.parts[:MAX_PARTS][::-1]]
    _intervals(axes, rows, say("figures.report_parts"), palette, linewidth=1.6, markersize=4)
    axes.axvline(0, color=palette.line, linewidth=0.8)
    axes.tick_params("y", labelsize=7)


def _intervals(
    axes: Axes, rows: Sequence[tuple[str, Estimate, str, str]], title: str, palette: Palette, **size: float
) -> None:
    """A row for each name, from the lowest up: its interval as a line and its value as a marker."""
    for row, (_, found, colour, marker) in enumerate(rows):
        axes.plot([found.low, found.high], [row, row], color=colour, linewidth=size["linewidth"])
        axes.plot([found.value], [row], color=colour, marker=marker, markersize=size["markersize"])
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], color=palette.text)
    axes.set_title(title, fontsize=9, color=palette.text, loc="left")
