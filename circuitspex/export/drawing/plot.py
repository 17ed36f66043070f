"""The paper of plots: one width, one style, light and dark, with a title and what it says in a line or two below.

Sizes are in points. A plot is 720 points wide, 1,000 pixels at 100 dots an inch, and no text is smaller than 8 points,
so that it can be read at that width.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from circuitspex.circuits.circuit import Circuit, Estimate
from circuitspex.errors import UserError
from circuitspex.export.drawing.sheet import frame, write_figure
from circuitspex.export.drawing.style import DARK, FONTS, LIGHT, TITLE_SIZE, Palette, shorten
from circuitspex.export.words.saying import say
from circuitspex.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

WIDTH = 720.0
MARGIN = 18.0
TEXT_SIZE = 9.0
SMALL = 8.0
DPI = 160
"""Of PNG files: 1,600 pixels wide."""
HATCH = "////"
"""Bars below zero are hatched, so that their sign is not told by colour alone."""


class Plot(Figure):
    """A matplotlib figure that also shows itself in a notebook in which pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()


class Paper:
    """A plot in the making: places are in points from the upper left corner, as in the layouts of diagrams."""

    def __init__(self, height: float, title: str, facts: Sequence[str], dark: bool) -> None:
        self.palette: Palette = DARK if dark else LIGHT
        self.height = height
        self.figure = Plot(figsize=(WIDTH / 72, height / 72), facecolor=self.palette.background, dpi=100)
        room = WIDTH - 2 * MARGIN
        self.text(MARGIN, 22, shorten(title, TITLE_SIZE * 1.12, room), TITLE_SIZE, bold=True)
        for row, fact in enumerate(facts):
            self.text(MARGIN, 42 + 14 * row, shorten(fact, TEXT_SIZE, room), TEXT_SIZE, self.palette.muted)

    def text(
        self, x: float, y: float, text: str, size: float = SMALL, colour: str = "", bold: bool = False, **more: Any
    ) -> None:
        """A line of text whose middle is at height ``y``."""
        weight = "bold" if bold else "normal"
        style = {"fontsize": size, "color": colour or self.palette.text, "fontweight": weight, "va": "center", **more}
        self.figure.text(x / WIDTH, 1 - y / self.height, printable(text), **style)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes with lines at the left and below only."""
        made = self.figure.add_axes(
            (left / WIDTH, 1 - (top + height) / self.height, width / WIDTH, height / self.height)
        )
        frame(made, self.palette)
        made.tick_params(colors=self.palette.text, labelsize=SMALL, length=3, color=self.palette.line)
        made.set_axisbelow(True)
        return made

    def bars(
        self, axes: Axes, at: Sequence[float], sizes: Sequence[float], bases: Sequence[float], **look: Any
    ) -> None:
        """Level bars: by colour and hatching their sign; ``look`` overrides."""
        for y, size, base in zip(at, sizes, bases, strict=True):
            colour = self.palette.negative if size < 0 else self.palette.positive
            style = {"color": colour, "hatch": HATCH if size < 0 else None, "edgecolor": self.palette.background}
            axes.barh(y, size, left=base, height=0.62, linewidth=0, **{**style, **look})

    def interval(self, axes: Axes, y: float, found: Estimate, base: float = 0.0) -> None:
        """The interval of a level bar."""
        axes.plot([base + found.low, base + found.high], [y, y], color=self.palette.text, linewidth=1.4, zorder=4)


@contextmanager
def paper(height: float, title: str, facts: Sequence[str] = (), dark: bool = False) -> Iterator[Paper]:
    """A plot to draw on within, whatever the reader's own matplotlib settings are."""
    import matplotlib.style

    settings: Any = {"font.family": [FONTS[0]], "text.parse_math": False, "hatch.linewidth": 0.8}
    with matplotlib.style.context(settings, after_reset=True):
        yield Paper(height, title, facts, dark)


def finished(made: Paper, path: str | Path | None, title: str) -> Figure:
    """The figure, also written to ``path`` (PNG, SVG or PDF by its ending) where there is one."""
    if path is not None:
        write_figure(made.figure, Path(path), title, DPI)
    return made.figure


def effects_map(palette: Palette) -> Colormap:
    """Colours from the most negative effect over the background at 0 to the most positive one."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("effects", [palette.negative, palette.background, palette.positive])


def needs_effects(circuit: Circuit, what: str) -> None:
    """Nothing where there is a component, and the sign of every effect is known.

    Raises:
        UserError: otherwise; ``what`` is the plot, 'a heat map'.
    """
    if not circuit.nodes:
        raise UserError(
            f"this circuit has no components, so there is nothing for {what} to show; find with more budget"
        )
    unsigned = next((node.name for node in circuit.nodes if not node.signed), None)
    if unsigned is not None:
        raise UserError(
            f"{what} shows signs, and that of {unsigned} is not known; read the graph with sign='ablation' or "
            "'attribution', whichever its scores are"
        )


def metric_of(circuit: Circuit) -> str:
    """What effects are in units of."""
    return printable(circuit.task.get("metric") or say("figures.metric"))
