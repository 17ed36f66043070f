"""The timeline of a series of checkpoints: the metric above, the effects of the strongest sets below.

The strongest sets have a colour, a line style and a marker of their own (Okabe and Ito's palette, which colour-blind
readers can tell apart), a band for the interval, and their name at the end of their line; the others are thin and grey.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from circuitspex.circuits.circuit import Estimate
from circuitspex.circuits.comparison import Series
from circuitspex.errors import UserError
from circuitspex.export.drawing.layered import separated
from circuitspex.export.drawing.sheet import frame, write_figure
from circuitspex.export.drawing.style import DARK, FONTS, LIGHT, TITLE_SIZE, Palette, shorten, text_width
from circuitspex.export.words.saying import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_HIGHLIGHTED = 8
"""How many sets are drawn in colour; the others are grey."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", None, "#8A6FBF")
"""One of them is that of the text."""
FAINT = {LIGHT: "#b4bcc5", DARK: "#535c68"}
"""Of the sets that are not named."""
STYLES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1.2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LABEL_SIZE = 8.0
TICK_SIZE = 8.0
MAX_LABEL = 190.0
MAX_TICK = 130.0
MAX_TICKS = 34
MIN_SHARED = 6
"""A beginning that all names of checkpoints share is said once, in the title, if it is this long."""
TEXT_HEIGHT = 1.45
"""Distance of neighbouring labels, in their size."""


def strongest(series: Series, count: int = MAX_HIGHLIGHTED) -> list[int]:
    """The sets with the largest |effect| anywhere, largest first."""
    largest = [max((abs(point.effects[i].value) for point in series.points), default=0.0) for i in _indices(series)]
    return sorted(_indices(series), key=lambda i: (-largest[i], series.sets[i]))[:count]


def draw(series: Series, dark: bool = False) -> Figure:
    """The timeline as a figure outside pyplot.

    Raises:
        UserError: the series has no checkpoint.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    if not series.points:
        raise UserError("this series has no checkpoint, so there is nothing to draw")
    palette = DARK if dark else LIGHT
    chosen = strongest(series)
    every = -(-len(series.points) // MAX_TICKS)  # of many checkpoints only some are named
    ticks = [_tick(series, i) if i % every == 0 else "" for i in range(len(series.points))]
    names = [shorten(" × ".join(series.sets[i]), LABEL_SIZE, MAX_LABEL) for i in chosen]
    right = max([60.0, *(text_width(name, LABEL_SIZE) + 26 for name in names)])
    turned = max(map(_wide, ticks)) + 8 > 520 * every / max(1, len(ticks) - 1)
    below = 30.0 + (max(map(_wide, ticks)) * 0.8 if turned else 14.0)
    left = max(62.0, _wide(ticks[0]) * 0.75 + 10.0 if turned else 0.0)
    top, gap, first, second = 64.0, 24.0, 110.0, 300.0
    width = left + 520.0 + right
    height = top + first + gap + second + below
    with matplotlib.style.context({"font.family": [FONTS[0]], "text.parse_math": False}, after_reset=True):
        figure = Figure(figsize=(width / 72, height / 72), facecolor=palette.background, dpi=100)
        share = (left / width, 520.0 / width)
        lower = figure.add_axes((share[0], below / height, share[1], second / height))
        upper = figure.add_axes((share[0], (below + second + gap) / height, share[1], first / height))
        about = [str(series.run[key]) for key in ("task", "baseline") if series.run.get(key)]
        title = " · ".join(
            [part for part in [series.points[0].name[: _shared(series)].strip("/@:-_ ")] if part] + about
        )
        heading = shorten(
            say("figures.series_of", title=title) if title else say("figures.series"), TITLE_SIZE * 1.12, width - 36
        )
        figure.text(
            18 / width,
            1 - 24 / height,
            heading,
            fontsize=TITLE_SIZE,
            fontweight="bold",
            color=palette.text,
            va="center",
        )
        more = len(series.sets) - len(chosen)
        said = say("figures.series_about", n=len(series.points), sets=len(series.sets))
        if more:
            said += "; " + say("figures.series_weaker", named=len(chosen), n=more)
        figure.text(18 / width, 1 - 42 / height, said, fontsize=9, color=palette.muted, va="center")
        _metric(upper, series, palette)
        _effects(lower, series, chosen, palette)
        for axes in (upper, lower):
            _dress(axes, len(series.points), palette)
        upper.tick_params(labelbottom=False)
        lower.set_xticks(range(len(ticks)), ticks)
        if turned:
            for label in lower.get_xticklabels():
                label.set(rotation=45, horizontalalignment="right", rotation_mode="anchor")
        _labels(lower, series, chosen, names, second, palette)
    return figure


def write(series: Series, path: Path, dark: bool = False) -> Path:
    """Write the timeline as PNG, SVG or PDF, by the ending of the path.

    Raises:
        UserError: another ending, or a series without checkpoints.
    """
    return write_figure(draw(series, dark), path, "Timeline")


def _indices(series: Series) -> range:
    return range(len(series.sets))


def _tick(series: Series, index: int) -> str:
    name = series.points[index].name
    cut = _shared(series)
    lines = [name[cut:]] if name not in series.same_as else [name[cut:], f"= {series.same_as[name][cut:]}"]
    return "\n".join(shorten(line, TICK_SIZE, MAX_TICK) for line in lines)


def _shared(series: Series) -> int:
    """How many characters all names of checkpoints begin with, up to a separator; 0 where that is short."""
    names = sorted({point.name for point in series.points})
    pairs = zip(names[0], names[-1], strict=False) if len(names) > 1 else ()
    start = "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    length = max(start.rfind(separator) for separator in "/@:-_ ") + 1
    return length if length >= MIN_SHARED else 0


def _wide(tick: str) -> float:
    return max(text_width(line, TICK_SIZE) for line in tick.split("\n"))


def _line(axes: Axes, points: Sequence[Estimate], band: float, **style: Any) -> None:
    x = range(len(points))
    low, high = [point.low for point in points], [point.high for point in points]
    if band and len(points) > 1:
        axes.fill_between(x, low, high, color=style["color"], alpha=band, linewidth=0, zorder=1)
    elif band:
        axes.vlines(x, low, high, color=style["color"], alpha=0.6, linewidth=2, zorder=1)
    axes.plot(x, [point.value for point in points], markevery=-(-len(points) // MAX_TICKS), **style)


def _metric(axes: Axes, series: Series, palette: Palette) -> None:
    points = [point.metric for point in series.points]
    _line(axes, points, 0.18, color=palette.text, linewidth=1.8, marker="o", markersize=4.5, zorder=3)
    axes.set_ylabel(
        shorten(str(series.run.get("metric") or say("figures.metric")), 9, 110), fontsize=9, color=palette.muted
    )


def _effects(axes: Axes, series: Series, chosen: Sequence[int], palette: Palette) -> None:
    axes.axhline(0, color=palette.muted, linewidth=0.8, zorder=0)
    for i in _indices(series):
        if i not in chosen:
            _line(axes, [point.effects[i] for point in series.points], 0, color=FAINT[palette], linewidth=0.8, zorder=2)
    for rank, i in reversed(list(enumerate(chosen))):
        style = {
            "color": COLOURS[rank] or palette.text,
            "linestyle": STYLES[rank % len(STYLES)],
            "marker": MARKERS[rank],
        }
        points = [point.effects[i] for point in series.points]
        _line(axes, points, 0.13, linewidth=1.9, markersize=4.5, zorder=5, **style)
    axes.set_ylabel(say("figures.effect"), fontsize=9, color=palette.muted)


def _dress(axes: Axes, n_points: int, palette: Palette) -> None:
    frame(axes, palette)
    axes.grid(axis="y", color=palette.line, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.text, labelsize=TICK_SIZE, length=3, color=palette.line)
    axes.set_xticks(range(n_points))
    axes.set_xlim(-0.25 if n_points > 1 else -0.5, n_points - 0.75 if n_points > 1 else 0.5)


def _labels(
    axes: Axes, series: Series, chosen: Sequence[int], names: Sequence[str], height: float, palette: Palette
) -> None:
    """Names at the ends of the lines, moved apart where they would overlap, with a thin line to the end."""
    low, high = axes.get_ylim()
    unit = (high - low) / height
    ends = [series.points[-1].effects[i].value for i in chosen]
    at = spread([(end - low) / unit for end in ends], LABEL_SIZE * TEXT_HEIGHT, height)
    last, right = len(series.points) - 1, axes.get_xlim()[1]
    step = (right - axes.get_xlim()[0]) / 520.0
    for rank, (name, end, y) in enumerate(zip(names, ends, at, strict=True)):
        x, place = right + 14 * step, low + y * unit
        axes.plot(
            [last + 5 * step, x - 3 * step],
            [end, place],
            color=COLOURS[rank] or palette.text,
            linewidth=0.7,
            clip_on=False,
            zorder=4,
        )
        axes.text(x, place, name, fontsize=LABEL_SIZE, color=palette.text, va="center", clip_on=False)
    axes.set_ylim(low, high)
    axes.set_xlim(axes.get_xlim()[0], right)


def spread(wanted: Sequence[float], apart: float, height: float) -> list[float]:
    """Places near the wanted ones, in their order, at least ``apart`` from each other and inside where that fits."""
    order = np.argsort(wanted, kind="stable")
    offsets = apart * np.arange(len(wanted))
    room = max(0.0, height - apart * (len(wanted) - 1))
    places = np.empty(len(wanted))
    places[order] = (
        np.clip(separated(np.asarray(wanted, float)[order], np.diff(offsets)) - offsets, 0.0, room) + offsets
    )
    return places.tolist()
