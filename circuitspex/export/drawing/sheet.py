"""A drawing with its paper, and the files that it becomes.

SVG is written as text, PNG and PDF by matplotlib. Equal drawings give equal bytes: no dates, no random ids, and none of
the reader's own matplotlib settings.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from circuitspex.errors import UserError
from circuitspex.export.drawing.matplotlib_pen import MatplotlibPen
from circuitspex.export.drawing.pen import Pen
from circuitspex.export.drawing.style import DARK, FONTS, LIGHT, Palette
from circuitspex.export.drawing.svg_pen import SvgPen
from circuitspex.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

T = TypeVar("T")

PNG_DPI = 200
LONGEST = {"png": 65_535 * 72 // PNG_DPI, "pdf": 14_400}
"""How many points an edge of the picture has at most: pixels of matplotlib's, and the largest page of PDF."""
_FAMILY = f"'{FONTS[0]}', " + ", ".join(FONTS[1:])
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "circuitspex", "pdf.fonttype": 42}


@dataclass(frozen=True)
class Sheet:
    """What to draw on paper of that size in points, whose upper edge is at ``top``."""

    title: str
    width: float
    height: float
    draw: Callable[[Pen], None]
    top: float = 0.0

    def figure(self, dark: bool = False) -> Figure:
        """As a matplotlib figure of its own, outside pyplot: ``figure.savefig`` writes it anywhere."""
        import matplotlib.style

        with matplotlib.style.context({}, after_reset=True):
            pen = MatplotlibPen(self.width, self.height, self.top, DARK if dark else LIGHT)
            self.draw(pen)
        return pen.figure

    def svg(self, dark: bool = False) -> str:
        """As the text of an SVG file."""
        pen = SvgPen(DARK if dark else LIGHT)
        self.draw(pen)
        return pen.file(self.width, self.height, self.top, self.title)


def writer(sheet_of: Callable[[T], Sheet], form: str, dark: bool = False) -> Callable[[T, Path], Path]:
    """What writes the drawing of a result as 'svg', 'png' (200 dots an inch) or 'pdf', its text as text."""

    def write(result: T, path: Path) -> Path:
        sheet = sheet_of(result)
        longest = max(sheet.width, sheet.height)
        if longest > LONGEST.get(form, longest):
            raise UserError(
                f"the diagram is {longest:,.0f} points long, and a {form} file holds {LONGEST[form]:,}: write it as "
                "svg, or draw a smaller circuit (find with a smaller max_nodes, or choose)"
            )
        data = sheet.svg(dark).encode("utf-8") if form == "svg" else figure_bytes(sheet.figure(dark), form, sheet.title)
        return write_atomically(path, data)

    return write


def frame(axes: Axes, palette: Palette) -> None:
    """Axes with lines at the left and below only, in the palette's colours."""
    axes.set_facecolor(palette.background)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(palette.line)


def write_figure(figure: Figure, path: Path, title: str, dpi: int = PNG_DPI) -> Path:
    """Write a figure as its path's ending says; UserError for an ending that is not png, svg or pdf."""
    form = path.suffix.removeprefix(".").lower()
    if form not in ("png", "svg", "pdf"):
        raise UserError(f"can't draw to {path.name!r}: the ending must be one of .png, .svg, .pdf")
    return write_atomically(path, figure_bytes(figure, form, title, dpi))


def figure_bytes(figure: Figure, form: str, title: str, dpi: int = PNG_DPI) -> bytes:
    """A figure as a 'svg', 'png' or 'pdf' file with real text and no dates, whatever the reader's own settings."""
    import matplotlib.style

    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Title": title}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with matplotlib.style.context(_SETTINGS, after_reset=True):
        figure.savefig(buffer, format=form, dpi=dpi if form == "png" else 72, metadata=metadata.get(form))
    data = buffer.getvalue()
    if form == "svg":  # fonts for readers that lack the first
        data = data.replace(f"font-family: '{FONTS[0]}'".encode(), f"font-family: {_FAMILY}".encode())
    return data
