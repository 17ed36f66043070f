"""The order in which components are read: by layer, and within one as the layer computes them."""

from __future__ import annotations

import re

from circuitspex.circuits.circuit import Node
from circuitspex.components import KINDS


def kind_order(kind: str) -> int:
    """Where a kind stands among those of one layer, roughly in the order in which the layer computes them."""
    return KINDS[kind].order if kind in KINDS else 1 + max(each.order for each in KINDS.values())


def reading_order(node: Node) -> tuple[int, int, list[int], str]:
    """The place of a component among all: by layer, kind, the numbers in its name, and its name."""
    return node.layer, kind_order(node.kind), [int(digits) for digits in re.findall(r"-?\d+", node.name)], node.name
