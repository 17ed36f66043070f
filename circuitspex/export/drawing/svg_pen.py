"""The pen that writes SVG text: elements inside an HTML page, or a whole file.

Inside a page, colours are CSS variables, so that the markup follows the page's theme; there are no ids, so several
drawings can share one document. Text is text, set in the viewer's fonts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from html import escape
from typing import Any

from circuitspex.export.drawing.geometry import Box, Path, Point
from circuitspex.export.drawing.pen import Look, mixed
from circuitspex.export.drawing.style import FONTS, LIGHT, Palette
from circuitspex.text import printable

PAGE_FONTS = "system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif"
BUTTON = 'tabindex="0" role="button"'
"""What lets a keyboard reach and choose a group."""
_OPACITY = "0.45"


class SvgPen:
    """Collects elements.

    Args:
        palette: the colours of a file; None for CSS variables.
        button: the attributes of what can be chosen; empty where nothing can be. Such pages define the variables, and
            others may not, so that the light colours stand in for them there.
    """

    def __init__(self, palette: Palette | None = None, button: str = "") -> None:
        variables = ((f.name, "" if button else f",{getattr(LIGHT, f.name)}") for f in fields(Palette))
        self.palette = palette or Palette(*(f"var(--cx-{name}{light})" for name, light in variables))
        self.faint = mixed(palette) if palette else self.palette
        self.inline, self.button = palette is None, button
        self.parts: list[str] = []

    def circle(self, x: float, y: float, radius: float, look: Look, part: str = "") -> None:
        """A circle around a point."""
        self._add(f'circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"', look, part)

    def box(self, box: Box, look: Look, rounding: float = 0.0, part: str = "") -> None:
        """A rectangle with corners of that radius."""
        self._add(_rect(box) + (f' rx="{_n(rounding)}"' if rounding else ""), look, part)

    def polygon(self, points: Sequence[Point], look: Look, part: str = "") -> None:
        """A closed shape."""
        self._add(f'polygon points="{" ".join(f"{_n(x)},{_n(y)}" for x, y in points)}"', look, part)

    def curves(self, paths: Sequence[Path], look: Look, part: str = "") -> None:
        """Chains of Bézier curves, which count as one mark."""
        self._add(f'path d="{"".join(map(path_data, paths))}"', look, part)

    def text(
        self, x: float, y: float, text: str, size: float, colour: str, align: str = "left", bold: bool = False
    ) -> None:
        """A line of text whose middle is at height ``y``."""
        more = (' font-weight="650"' if bold else "") + (' text-anchor="middle"' if align == "center" else "")
        place = f'x="{_n(x)}" y="{_n(y + size * 0.36)}" font-size="{_n(size)}"'
        self.parts.append(f'<text {place}{more} fill="{colour}">{_t(text)}</text>')

    @contextmanager
    def group(
        self,
        kind: str,
        spoken: str = "",
        *,
        faint: bool = False,
        titled: bool = False,
        hit: Box | None = None,
        **attributes: Any,
    ) -> Iterator[None]:
        """What is drawn within belongs together."""
        said = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
        said += f' opacity="{_OPACITY}"' if faint and self.inline else ""
        said += f' {self.button} aria-label="{_t(spoken)}"' if spoken and self.button else ""
        self.parts.append(f'<g class="{kind}{" absent" if faint else ""}"{said}>')
        if titled:
            self.parts.append(f"<title>{_t(spoken)}</title>")
        if hit is not None and self.button:
            self.parts.append(f'<{_rect(hit)} class="hit" fill="transparent"/>')
        yield
        self.parts.append("</g>")

    @contextmanager
    def panel(self, left: float, top: float, width: float, height: float) -> Iterator[None]:
        """What is drawn within has its own origin."""
        self.parts.append(f'<g transform="translate({_n(left)} {_n(top)})">')
        yield
        self.parts.append("</g>")

    def element(self, kind: str, width: float, height: float, spoken: str) -> str:
        """What was drawn as an ``<svg>`` element of that class, to stand in a page."""
        role = "group" if self.button else "img"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" viewBox="0 0 {_n(width)} {_n(height)}" '
            f'role="{role}" aria-label="{_t(spoken)}" font-family="{PAGE_FONTS}">{"".join(self.parts)}</svg>'
        )

    def file(self, width: float, height: float, top: float, title: str) -> str:
        """What was drawn as a file of its own, on paper whose upper edge is at ``top``; one unit is one point."""
        size = f'width="{_n(width)}pt" height="{_n(height)}pt" viewBox="0 {_n(top)} {_n(width)} {_n(height)}"'
        paper = f'<{_rect(Box(0, top, width, top + height))} fill="{self.palette.background}"/>'
        return (
            f'<?xml version="1.0" encoding="utf-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
            f'font-family="{", ".join(FONTS)}"><title>{_t(title)}</title>\n'
            + "\n".join([paper, *self.parts])
            + "\n</svg>\n"
        )

    def _add(self, element: str, look: Look, part: str) -> None:
        line = f' stroke="{look.line}" stroke-width="{_n(look.width)}"' if look.width else ""
        if look.dash:
            line += f' stroke-dasharray="{_n(look.dash[0])} {_n(look.dash[1])}"'
        if look.opacity < 1:
            line += f' fill-opacity="{look.opacity:.3g}"'
        name = f' class="{part}"' if part else ""
        self.parts.append(f'<{element}{name} fill="{look.fill}"{line}/>')


def path_data(path: Path) -> str:
    """A path in SVG's notation."""
    curves = (" ".join(f"{_n(x)},{_n(y)}" for x, y in path[i : i + 3]) for i in range(1, len(path), 3))
    return f"M{_n(path[0][0])},{_n(path[0][1])}" + "".join(f"C{curve}" for curve in curves)


def _rect(box: Box) -> str:
    size = f'width="{_n(box.right - box.left)}" height="{_n(box.bottom - box.top)}"'
    return f'rect x="{_n(box.left)}" y="{_n(box.top)}" {size}'


def _t(text: object) -> str:
    return escape(printable(text))


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
