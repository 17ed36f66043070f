"""Prompts by components as a heat map, the prompts of each mechanism together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from circuitspex.circuits.mechanism import Mechanisms
from circuitspex.export.drawing.sheet import write_figure
from circuitspex.export.drawing.style import DARK, FACTS_SIZE, LIGHT, NAME_SIZE, Palette, shorten, text_width
from circuitspex.export.words.saying import say
from circuitspex.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PARTS = 40
MAX_PROMPTS = 60
"""With more prompts their texts are left out."""
PROMPT_WIDTH = 260.0
CELL = 15.0


def draw(found: Mechanisms, dark: bool = False) -> Figure:
    """The figure, outside pyplot: a row for each prompt, a column for each part, the effect as the colour.

    Rows are sorted by mechanism, with a line between two of them; columns are the parts with the largest effects, in
    the order in which they were measured, components first.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    palette = DARK if dark else LIGHT
    sizes = np.abs(found.effects).max(0)
    columns = np.sort(np.argsort(-sizes, kind="stable")[:MAX_PARTS])
    names = [shorten(" × ".join(found.parts[part]), 7.5, 190) for part in columns]
    texts = [shorten(text, 7.5, PROMPT_WIDTH) for text in found.prompts] if len(found.effects) <= MAX_PROMPTS else []
    left = (max(text_width(text, 7.5) for text in texts) if texts else 30.0) + 34
    below = max(text_width(name, 7.5) for name in names) + 14
    cell = CELL if len(found.effects) <= MAX_PROMPTS else CELL * MAX_PROMPTS / len(found.effects)
    size = (max(left + CELL * len(columns) + 80, 430.0), 58 + cell * len(found.effects) + below)
    with matplotlib.style.context({"font.size": 7.5, "text.parse_math": False}, after_reset=True):
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), facecolor=palette.background, dpi=100)
        place = (left, below, CELL * len(columns), cell * len(found.effects))
        axes = figure.add_axes((place[0] / size[0], place[1] / size[1], place[2] / size[0], place[3] / size[1]))
        _cells(figure, axes, found, columns, palette)
        axes.set_xticks(range(len(names)), names, rotation=90, color=palette.text)
        order = [prompt for mechanism in found.mechanisms for prompt in mechanism.prompts]
        axes.set_yticks(range(len(texts)), [texts[i] for i in order] if texts else [], color=palette.text)
        title = say("figures.mechanisms", n=1 if found.is_one else len(found), prompts=len(found.effects))
        figure.text(10 / size[0], 1 - 22 / size[1], title, color=palette.text, fontsize=NAME_SIZE + 2, weight="bold")
        first = found.tests[0] if found.tests else None
        said = printable(found.note) if first is None else say("figures.mechanisms_p", p=f"{first.p:.2f}")
        figure.text(10 / size[0], 1 - 38 / size[1], said, color=palette.muted, fontsize=FACTS_SIZE)
    return figure


def _cells(figure: Figure, axes: Axes, found: Mechanisms, columns: np.ndarray, palette: Palette) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    order = [prompt for mechanism in found.mechanisms for prompt in mechanism.prompts]
    shown = found.effects[order][:, columns]
    most = float(np.abs(shown).max()) or 1.0
    colours = LinearSegmentedColormap.from_list("sign", [palette.negative, palette.background, palette.positive])
    cells = axes.imshow(shown, cmap=colours, vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
    axes.tick_params(length=0, colors=palette.text)
    axes.spines[:].set_color(palette.line)
    start = 0
    for place, mechanism in enumerate(found.mechanisms):
        end = start + len(mechanism.prompts)
        if place:
            axes.axhline(start - 0.5, color=palette.text, linewidth=1.6)
        if not found.is_one:
            axes.text(
                len(columns) - 0.2,
                (start + end - 1) / 2,
                str(place + 1),
                color=palette.text,
                va="center",
                weight="bold",
            )
        start = end
    box = axes.get_position()
    point = 1 / (72 * figure.get_figwidth())
    bar = figure.add_axes((box.x1 + 30 * point, box.y0, 8 * point, box.height))
    scale = figure.colorbar(cells, cax=bar)
    scale.outline.set_edgecolor(palette.line)
    scale.ax.tick_params(colors=palette.muted, length=2)
    scale.set_label(say("figures.effect"), color=palette.muted)


def write(found: Mechanisms, path: Path, dark: bool = False) -> Path:
    """Write the figure as PNG, SVG or PDF, by the ending of the path; UserError names these."""
    return write_figure(draw(found, dark), path, "Mechanisms", dpi=160)
