"""Drawings as pieces of HTML: the inline SVG of pages and of notebooks."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing import circuit_marks
from circuitspex.export.drawing.circuit_layout import Layout
from circuitspex.export.drawing.group_marks import PlacedGroup, group_boxes, group_letters
from circuitspex.export.drawing.prompt_layout import PromptLayout
from circuitspex.export.drawing.prompt_marks import prompt_map
from circuitspex.export.drawing.svg_pen import BUTTON, SvgPen
from circuitspex.export.words.saying import say


def diagram(placed: Layout, title: str, interactive: bool = False, groups: Sequence[PlacedGroup] = ()) -> str:
    """The layout as an ``<svg>`` element.

    Args:
        placed: what to draw.
        title: what a screen reader says.
        interactive: whether components and interactions can be focused and clicked (for the page's script).
        groups: boxes and letters around components that belong together.
    """
    pen = SvgPen(button=BUTTON if interactive else "")
    boxes = functools.partial(group_boxes, pen, groups)
    circuit_marks.diagram(pen, placed, labels=placed.with_effects or interactive, behind=boxes)
    group_letters(pen, groups)
    return pen.element("cx-diagram", placed.width, placed.height, title)


def picture(found: PromptMap, placed: PromptLayout, interactive: bool = False) -> str:
    """The map of a prompt as an ``<svg>`` element.

    Args:
        found: the prompt.
        placed: its layout.
        interactive: whether words and interactions can be focused and clicked (for the page's script).
    """
    pen = SvgPen(button=f'{BUTTON} aria-pressed="false"' if interactive else "")
    prompt_map(pen, found, placed)
    spoken = say("prompt.picture", players=len(found.words), n=len(found.circuit.interactions))
    return pen.element("cx-prompt", placed.width, placed.height, spoken)
