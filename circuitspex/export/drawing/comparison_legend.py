"""The legend of a comparison: colours mean one thing where a circuit is drawn, and another where the difference is."""

from __future__ import annotations

import functools

from circuitspex.circuits.comparison import Comparison
from circuitspex.export.drawing.circuit_layout import MARGIN, Layout
from circuitspex.export.drawing.circuit_marks import Sample, in_lines, line_sample, samples
from circuitspex.export.drawing.comparison_layout import DECREASED, INCREASED, KIND_MARKS, KIND_WORDS, UnionLayout
from circuitspex.export.drawing.pen import Look, Pen
from circuitspex.export.drawing.style import DASH, DETAIL_SIZE, NAME_SIZE, text_width

LINE = 17.0
_HEADS = ("Difference", "Before, after", "All three")


def comparison_legend(pen: Pen, comparison: Comparison, placed: UnionLayout, top: float, measured: str) -> float:
    """Three rows of samples below ``top``, within the width of the diagrams; gives how far down they go.

    Args:
        pen: draws them.
        comparison: of which only the kinds of change that it has are explained.
        placed: its diagrams.
        top: where it begins.
        measured: what is said of intervals.
    """
    ink, right = pen.palette, max(placed.before.width, 640.0) - MARGIN
    up, down = Look(line=ink.positive, width=3.4), Look(line=ink.negative, width=3.4, dash=DASH)
    kinds = {change.kind for change in comparison.changes}
    signs = [(f"{word} effect or interaction", look) for word, look in (("positive", up), ("negative", down))]
    rows: list[list[tuple[str, Sample]]] = [
        [
            *_lines([(INCREASED, up), (DECREASED, down)]),
            *(
                (words, functools.partial(_sign, KIND_MARKS[kind]))
                for kind, words in KIND_WORDS.items()
                if kind in kinds
            ),
        ],
        _lines(signs),
        [
            *_shared(pen, placed.before, measured),
            *_lines([("faint: not part of that circuit", Look(line=pen.faint.positive, width=3.4))]),
        ],
    ]
    left, y = MARGIN + max(text_width(head, DETAIL_SIZE, bold=True) for head in _HEADS) + 14, top + 12
    for head, row in zip(_HEADS, rows, strict=True):
        pen.text(MARGIN, y, head, DETAIL_SIZE, ink.text, bold=True)
        y = in_lines(pen, row, left, y, right) + LINE
    return y


def _lines(shown: list[tuple[str, Look]]) -> list[tuple[str, Sample]]:
    return [(label, functools.partial(line_sample, look, False)) for label, look in shown]


def _shared(pen: Pen, placed: Layout, measured: str) -> list[tuple[str, Sample]]:
    """What the marks of all three diagrams mean, beside their colours."""
    arrows = any(edge.arrow is not None for edge in placed.edges)
    found = samples(pen, {mark.node.kind for mark in placed.nodes}, arrows, measured=measured)
    return [each for each in found if not each[0].endswith(" interaction") and not each[0].startswith("estimate")]


def _sign(mark: str, pen: Pen, x: float, y: float) -> None:
    pen.text(x + 14, y, mark, NAME_SIZE, pen.palette.text, "center")
