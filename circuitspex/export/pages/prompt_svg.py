"""The map of a prompt as inline SVG, for the page and for notebooks."""

from __future__ import annotations

from circuitspex.circuits.prompt_map import PromptMap
from circuitspex.export.drawing.prompt_layout import PromptLayout
from circuitspex.export.drawing.prompt_marks import prompt_map
from circuitspex.export.drawing.svg_pen import BUTTON, SvgPen


def picture(found: PromptMap, placed: PromptLayout, interactive: bool = False) -> str:
    """The layout as an ``<svg>`` element.

    Args:
        found: the prompt.
        placed: its layout.
        interactive: whether words and interactions can be focused and clicked (for the page's script).
    """
    pen = SvgPen(button=f'{BUTTON} aria-pressed="false"' if interactive else "")
    prompt_map(pen, found, placed)
    edges = len(found.circuit.interactions)
    spoken = f"Prompt of {len(found.words)} players with {edges} interaction{'' if edges == 1 else 's'} above them"
    return pen.element("cx-prompt", placed.width, placed.height, spoken)
