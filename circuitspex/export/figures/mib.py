"""Scores by MIB's protocol as a figure: faithfulness over size, and CPR and CMD beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from circuitspex.circuits.evidence.curve import SHARES
from circuitspex.circuits.mib_report import MIBReport
from circuitspex.export.drawing.sheet import frame, write_figure
from circuitspex.export.drawing.style import DARK, LIGHT, Palette, shorten
from circuitspex.export.words.saying import say, say_term
from circuitspex.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette; a way and its ranking by absolute value share a colour.
_COLOURS = ("#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9", "#888888", "#000000")
_MARKERS = "os^Dvxp*"


def draw(report: MIBReport, dark: bool = False) -> Figure:
    """The figure, outside pyplot."""
    import matplotlib.style
    from matplotlib.figure import Figure

    palette = DARK if dark else LIGHT
    names = list(dict.fromkeys(name.strip("|") for name in report.curves))
    looks = {name: names.index(name.strip("|")) for name in report.curves}
    with matplotlib.style.context({"font.size": 9, "text.parse_math": False}, after_reset=True):
        figure = Figure(figsize=(11, 6.4), facecolor=palette.background, layout="constrained", dpi=100)
        grid = figure.add_gridspec(2, 2, width_ratios=(1.7, 1))
        curve, cpr = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1])
        cmd = figure.add_subplot(grid[1, 1])
        for axes in (curve, cpr, cmd):
            frame(axes, palette)
            axes.tick_params(colors=palette.muted, labelsize=8)
        _curves(curve, report, looks, palette)
        _areas(cpr, report, "cpr", say("figures.mib_cpr"), looks, palette)
        _areas(cmd, report, "cmd", say("figures.mib_cmd"), looks, palette)
        about = report.about
        title = " · ".join(printable(about[key]) for key in ("model", "task", "metric") if about.get(key))
        figure.suptitle(
            shorten(say("figures.mib_title", about=title, n=report.n_prompts), 12, 700),
            color=palette.text,
            fontsize=12,
            fontweight="bold",
            x=0.01,
            ha="left",
        )
    return figure


def write(report: MIBReport, path: Path, dark: bool = False) -> Path:
    """Write the figure as PNG, SVG or PDF, by the ending of the path; UserError names these."""
    return write_figure(draw(report, dark), path, "MIBReport", dpi=160)


def _curves(axes: Axes, report: MIBReport, looks: dict[str, int], palette: Palette) -> None:
    x = list(range(len(SHARES)))
    for level in (1, 0):
        axes.axhline(level, color=palette.line, linewidth=0.8)
    for name, curve in report.curves.items():
        colour, marker = _look(looks[name])
        axes.plot(
            x,
            [value.value for value in curve.values],
            color=colour,
            marker=marker,
            ls=":" if name.startswith("|") else "-",
            markersize=4,
            linewidth=1.6,
            label=say_term("way", name),
        )
    axes.set_xticks(x, [f"{100 * share:g} %\n{size}" for share, size in zip(SHARES, report.sizes, strict=True)])
    axes.set_xlabel(say("figures.mib_x", parts=say_term("level", report.level)), color=palette.text)
    axes.set_ylabel(say("figures.mib_y"), color=palette.text)
    legend = axes.legend(fontsize=7.5, frameon=False, loc="upper left", ncols=2)
    for text in legend.get_texts():
        text.set_color(palette.text)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))  # room for the legend above the curves


def _areas(axes: Axes, report: MIBReport, area: str, title: str, looks: dict[str, int], palette: Palette) -> None:
    names = list(report.curves)[::-1]
    for row, name in enumerate(names):
        colour, marker = _look(looks[name])
        found = getattr(report.curves[name], area)
        axes.plot([found.low, found.high], [row, row], color=colour, linewidth=2)
        axes.plot([found.value], [row], color=colour, marker=marker, markersize=5)
    axes.set_yticks(range(len(names)), [shorten(say_term("way", name), 7, 160) for name in names], color=palette.text)
    axes.tick_params("y", labelsize=7)
    axes.set_title(title, fontsize=9, color=palette.text, loc="left")


def _look(place: int) -> tuple[str, str]:
    return _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
