"""What diagrams are drawn with: a few marks that SVG text and matplotlib both know.

Each diagram is one function that takes a pen; it says what the marks mean, and the pen how they come to paper. Marks
are painted in the order in which they are drawn. Units are those of the layouts: x goes right, y goes down.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any, Protocol

from circuitspex.export.drawing.geometry import Box, Path, Point
from circuitspex.export.drawing.style import Palette

FAINTNESS = 0.72
"""How much of the background is mixed into the colours of faint marks."""


@dataclass(frozen=True)
class Look:
    """The colours of a mark's inside and of its line, the line's width and dashes, and how opaque the inside is."""

    fill: str = "none"
    line: str = "none"
    width: float = 0.0
    dash: tuple[float, float] | None = None
    opacity: float = 1.0


class Pen(Protocol):
    """Draws marks; ``palette`` has its colours, ``faint`` those of what is not part of a circuit.

    ``part`` names a mark within its group, for a page's script and style; pens without scripts ignore it.
    """

    palette: Palette
    faint: Palette

    def circle(self, x: float, y: float, radius: float, look: Look, part: str = "") -> None:
        """A circle around a point."""

    def box(self, box: Box, look: Look, rounding: float = 0.0, part: str = "") -> None:
        """A rectangle with corners of that radius."""

    def polygon(self, points: Sequence[Point], look: Look, part: str = "") -> None:
        """A closed shape."""

    def curves(self, paths: Sequence[Path], look: Look, part: str = "") -> None:
        """Chains of Bézier curves, which count as one mark."""

    def text(
        self, x: float, y: float, text: str, size: float, colour: str, align: str = "left", bold: bool = False
    ) -> None:
        """A line of text whose middle is at height ``y``; ``align`` is 'left' or 'center'."""

    def group(
        self,
        kind: str,
        spoken: str = "",
        *,
        faint: bool = False,
        titled: bool = False,
        hit: Box | None = None,
        **attributes: Any,
    ) -> AbstractContextManager[None]:
        """What is drawn within belongs together.

        Args:
            kind: the group's class.
            spoken: what a screen reader says; what has such a text can be chosen where the page is interactive.
            faint: whether it is not part of the circuit.
            titled: whether the text is also shown when the mouse rests on it.
            hit: where a click chooses it, beyond its marks.
            attributes: further attributes; an underscore stands for a hyphen.
        """

    def panel(self, left: float, top: float, width: float, height: float) -> AbstractContextManager[None]:
        """What is drawn within has its own origin, at the upper left corner of this rectangle."""


def mixed(palette: Palette) -> Palette:
    """The palette with its ink mixed into the background; texts stay readable."""
    share = {"background": 0.0, "band": 0.0, "text": 0.45, "muted": 0.3}

    def mix(name: str) -> str:
        return blended(palette.background, getattr(palette, name), share.get(name, FAINTNESS))

    return Palette(*(mix(field.name) for field in fields(Palette)))


def blended(ink: str, paper: str, share: float) -> str:
    """The colour with that share of ``ink`` in it, from 0 (all ``paper``) to 1."""
    ends = ([int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (paper, ink))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(*ends, strict=True))
