"""The boxes of a model's parts in rows: which stand together, in which order, and where across the page.

Each layer has a row for its heads and one for its MLP. Heads that share keys and values form a block with the box of
these. Blocks are ordered by sweeps up and down the rows, each block to the mean place of those that it is joined to
(Sugiyama, Tagawa and Toda 1981), and placed by least squares without overlap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from circuitspex.export.drawing.edge_parts import EdgeParts, ModelPart
from circuitspex.export.drawing.geometry import Box, Point
from circuitspex.export.drawing.layered import separated
from circuitspex.export.drawing.style import text_width

PART_NAME = 8.5
"""Size of the names in the boxes."""
HEIGHT = {"head": 28.0, "shared": 28.0, "mlp": 22.0, "embeddings": 20.0, "logits": 20.0}
WIDE = 190.0
"""The width of embeddings and logits."""
GAP = 30.0
"""Between two blocks of a row."""
INNER = 8.0
"""Between the parts of one block."""
FRAME = 6.0
"""From the parts of a block to its frame."""
SWEEPS = 14
FIXED = 4
"""So many of the last sweeps keep the order."""


@dataclass
class Block:
    """Parts that stand together in a row, from left to right, and the middle of them; joined to others with weights."""

    parts: list[ModelPart]
    row: int
    framed: bool = False
    x: float = 0.0
    links: list[tuple[Block, float]] = field(default_factory=list, repr=False)

    @property
    def width(self) -> float:
        """Of the block with its frame."""
        return sum(map(_width, self.parts)) + INNER * (len(self.parts) - 1) + 2 * FRAME * self.framed

    @property
    def height(self) -> float:
        """Of the block with its frame."""
        return HEIGHT[self.parts[0].kind] + 2 * FRAME * self.framed

    @property
    def ends(self) -> tuple[float, float]:
        """From where to where it reaches."""
        return self.x - self.width / 2, self.x + self.width / 2

    def boxes(self, middle: float) -> dict[str, Box]:
        """The boxes of its parts by their names, in a row whose middle is at that height."""
        x, found = self.ends[0] + FRAME * self.framed, {}
        for part in self.parts:
            half = HEIGHT[part.kind] / 2
            right = x + _width(part)
            found[part.name] = Box(round(x, 1), round(middle - half, 1), round(right, 1), round(middle + half, 1))
            x = right + INNER
        return found


def blocks_of(found: EdgeParts) -> list[Block]:
    """The blocks of all parts, with their rows from the bottom up and their places; the middle is about 0."""
    keys = sorted({part.order[:2] for part in found.parts})
    group = {head: shared for shared, head in found.feeds}
    blocks: dict[str, Block] = {}
    for part in found.parts:
        key = group.get(part.name, part.name)
        blocks.setdefault(key, Block([], keys.index(part.order[:2]), "KV" in key)).parts.append(part)
    for block in blocks.values():
        block.parts.sort(key=lambda part: (part.kind != "shared", part.order))
    of_part = {part.name: block for block in blocks.values() for part in block.parts}
    largest = max(abs(each.node.effect) for each in found.edges) or 1.0
    for each in found.edges:
        source, target = of_part[each.source], of_part[each.target]
        weight = 0.3 + math.sqrt(abs(each.node.effect) / largest)
        source.links.append((target, weight))
        target.links.append((source, weight))
    rows = [[block for block in blocks.values() if block.row == row] for row in range(len(keys))]
    for row in rows:
        _place(row, [0.0] * len(row), [1.0] * len(row))
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            _sweep(row, may_move=sweep < SWEEPS - FIXED)
    return list(blocks.values())


def _sweep(row: list[Block], may_move: bool) -> None:
    wanted, weights = [], []
    for block in row:
        total = sum(weight for _, weight in block.links)
        wanted.append(sum(weight * other.x for other, weight in block.links) / (total * 1.02 + 0.02))
        weights.append(total + 0.1)
    order = sorted(range(len(row)), key=wanted.__getitem__) if may_move else range(len(row))
    row[:] = [row[i] for i in order]
    _place(row, [wanted[i] for i in order], [weights[i] for i in order])


def _place(row: Sequence[Block], wanted: Sequence[float], weights: Sequence[float]) -> None:
    apart = [(a.width + b.width) / 2 + GAP for a, b in itertools.pairwise(row)]
    found = separated(np.array(wanted), np.array(apart), np.array(weights))
    for block, x in zip(row, found.tolist(), strict=True):
        block.x = x


def _width(part: ModelPart) -> float:
    if part.kind in ("embeddings", "logits"):
        return WIDE
    return max(60.0 if part.kind == "mlp" else 40.0, text_width(part.name, PART_NAME, bold=True) + 10)


def ports_of(part: ModelPart, box: Box) -> dict[str, Point]:
    """Where edges end at a head: queries left, keys in the middle, values right, whichever of them are used."""
    across = {"head": {"q": 0.2, "k": 0.5, "v": 0.8}, "shared": {"k": 0.32, "v": 0.68}}.get(part.kind, {})
    return {port: (round(box.left + across[port] * (box.right - box.left), 1), box.bottom) for port in part.ports}
