"""Draws how data goes through the package: the picture in docs/development/architecture.md.

python tools/flow_picture.py docs/images/flow.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from circuitspex.export.drawing.geometry import Box, straight
from circuitspex.export.drawing.pen import Look
from circuitspex.export.drawing.style import LIGHT, text_width
from circuitspex.export.drawing.svg_pen import SvgPen

WIDTH, LEFT, STEP, BOX_WIDTH, BOX_HEIGHT = 660.0, 24.0, 217.0, 178.0, 56.0
BANDS = {
    "What is asked": (16.0, 132.0),
    "What is run": (148.0, 372.0),
    "What is concluded": (388.0, 504.0),
    "What is shown": (520.0, 636.0),
}
"""Top and bottom of each."""
BOXES = {
    "models": (0, 60.0, "a loaded model, its hash"),
    "tasks": (1, 60.0, "prompts and a metric"),
    "components": (2, 60.0, "what can be ablated"),
    "kernels": (0, 192.0, "fused operators"),
    "ablation": (1, 192.0, "masks in, the metric out"),
    "masks": (0, 300.0, "which masks to run"),
    "games": (1, 300.0, "each mask once"),
    "recovery": (1, 432.0, "interactions from values"),
    "circuits": (2, 432.0, "measured on the model"),
    "export": (1, 564.0, "files, pages, pictures"),
    "cli": (2, 564.0, "the command line"),
}
"""The column, the top, and what the folder is for."""
ARROWS = [
    ("models", "ablation", ""),
    ("tasks", "ablation", ""),
    ("components", "ablation", ""),
    ("kernels", "ablation", ""),
    ("ablation", "games", ""),
    ("masks", "games", ""),
    ("games", "recovery", "values, gradients"),
    ("games", "circuits", "paired ablations"),
    ("recovery", "circuits", ""),
    ("circuits", "export", ""),
    ("circuits", "cli", ""),
    ("export", "cli", ""),
]


def draw() -> str:
    """The picture as an SVG file."""
    pen = SvgPen(LIGHT)
    for title, (top, bottom) in BANDS.items():
        pen.box(Box(8, top, WIDTH - 8, bottom), Look(fill=LIGHT.band), 10)
        pen.text(LEFT, top + 20, title, 14, LIGHT.muted, bold=True)
    for start, end, said in ARROWS:
        _arrow(pen, start, end, said)
    for name, (_, _, about) in BOXES.items():
        box = _box(name)
        pen.box(box, Look(LIGHT.background, LIGHT.positive, 1.5), 8)
        middle = (box.left + box.right) / 2
        pen.text(middle, box.top + 19, f"{name}/", 15, LIGHT.text, "center", bold=True)
        pen.text(middle, box.top + 39, about, 13, LIGHT.muted, "center")
    return pen.file(WIDTH, 652, 0, "From a model, a task and components through ablations to circuits and files")


def _box(name: str) -> Box:
    column, top, _ = BOXES[name]
    left = LEFT + column * STEP
    return Box(left, top, left + BOX_WIDTH, top + BOX_HEIGHT)


def _arrow(pen: SvgPen, start: str, end: str, said: str) -> None:
    """From the edge of the one box to that of the other: sideways in one row, else downward."""
    a, b = _box(start), _box(end)
    if a.top == b.top:
        x, y, u, v = a.right, (a.top + a.bottom) / 2, b.left, (b.top + b.bottom) / 2
    else:
        shift = (BOXES[end][0] - BOXES[start][0]) * BOX_WIDTH / 4
        x, y, u, v = (a.left + a.right) / 2 + shift, a.bottom, (b.left + b.right) / 2 - shift, b.top
    length = ((u - x) ** 2 + (v - y) ** 2) ** 0.5
    along, across = ((u - x) / length, (v - y) / length), (-(v - y) / length, (u - x) / length)
    u, v = u - 2 * along[0], v - 2 * along[1]
    back = (u - 9 * along[0], v - 9 * along[1])
    pen.curves([straight((x, y), back)], Look(line=LIGHT.muted, width=1.5))
    sides = [(back[0] + side * 4.5 * across[0], back[1] + side * 4.5 * across[1]) for side in (1, -1)]
    pen.polygon([(u, v), *sides], Look(fill=LIGHT.muted))
    if said:  # left of a vertical arrow, right of a slanting one
        left = (x + u) / 2 - text_width(said, 13) if x == u else (x + u) / 2 + 14
        pen.text(left, (y + v) / 2 - 12, said, 13, LIGHT.text)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
