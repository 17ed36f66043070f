"""The legend of a comparison: colours mean one thing where a circuit is drawn, and another where the difference is."""

from __future__ import annotations

import functools

from circuitspex.circuits.comparison import Comparison
from circuitspex.export.drawing.circuit_layout import MARGIN, Layout
from circuitspex.export.drawing.circuit_marks import Sample, in_lines, line_sample, samples
from circuitspex.export.drawing.comparison_layout import KIND_MARKS, KINDS_OF_CHANGE, UnionLayout
from circuitspex.export.drawing.pen import Look, Pen
from circuitspex.export.drawing.style import DASH, DETAIL_SIZE, NAME_SIZE, text_width
from circuitspex.export.words.saying import say

LINE = 17.0


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
    signs = [(say("comparison.positive"), up), (say("comparison.negative"), down)]
    heads = (say("comparison.side.difference"), say("comparison.before_after"), say("comparison.all_three"))
    rows: list[list[tuple[str, Sample]]] = [
        [
            *_lines([(say("comparison.increased"), up), (say("comparison.decreased"), down)]),
            *(
                (say(f"comparison.kind.{kind}"), functools.partial(_sign, KIND_MARKS[kind]))
                for kind in KINDS_OF_CHANGE
                if kind in kinds
            ),
        ],
        _lines(signs),
        [
            *_shared(pen, placed.before, measured),
            *_lines([(say("comparison.faint_line"), Look(line=pen.faint.positive, width=3.4))]),
        ],
    ]
    left, y = MARGIN + max(text_width(head, DETAIL_SIZE, bold=True) for head in heads) + 14, top + 12
    for head, row in zip(heads, rows, strict=True):
        pen.text(MARGIN, y, head, DETAIL_SIZE, ink.text, bold=True)
        y = in_lines(pen, row, left, y, right) + LINE
    return y


def _lines(shown: list[tuple[str, Look]]) -> list[tuple[str, Sample]]:
    return [(label, functools.partial(line_sample, look, False)) for label, look in shown]


def _shared(pen: Pen, placed: Layout, measured: str) -> list[tuple[str, Sample]]:
    """What the marks of all three diagrams mean, beside their colours."""
    arrows = any(edge.arrow is not None for edge in placed.edges)
    return samples(pen, {mark.node.kind for mark in placed.nodes}, arrows, measured=measured, signs=False)


def _sign(mark: str, pen: Pen, x: float, y: float) -> None:
    pen.text(x + 14, y, mark, NAME_SIZE, pen.palette.text, "center")
