"""One thing that can be ablated, and how it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Literal, get_args

from circuitspex.errors import ComponentError

Kind = Literal["head", "mlp", "neurons"]

_PATTERN = re.compile(r"L(\d+)(?:H(\d+)|(M)|N(\d+)(?::(\d+))?)(?:@(-?\d+))?")
HOW_WRITTEN = (
    "'L5H1' (head), 'L5M' (MLP), 'L5N123' (neuron), 'L5N0:64' (neurons 0 to 63), with '@-1' or '@3' for one token"
)


@total_ordering
@dataclass(frozen=True)
class Component:
    """An attention head, an MLP layer or a block of MLP neurons, at every token or at one.

    ``start`` and ``stop`` bound the head or neuron indices (half open); both are 0 for an MLP layer.
    ``position`` is a token position (negative from the end), or None for all of them.
    """

    layer: int
    kind: Kind
    start: int = 0
    stop: int = 0
    position: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ComponentError(f"unknown kind of component {self.kind!r}; allowed: {', '.join(get_args(Kind))}")
        if self.layer < 0 or self.start < 0:
            raise ComponentError(f"a component's layer and index can't be negative: {self.layer}, {self.start}")
        if self.kind == "head" and self.stop != self.start + 1:
            raise ComponentError(f"a head is one index, so its stop is {self.start + 1}, not {self.stop}")
        if self.kind == "mlp" and (self.start, self.stop) != (0, 0):
            raise ComponentError(f"an MLP layer has no indices: start and stop are 0, not {self.start}, {self.stop}")
        if self.kind == "neurons" and self.stop <= self.start:
            raise ComponentError(f"{self}: an empty range of neurons; the second number must be larger than the first")

    def __lt__(self, other: Component) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[int, str, int, int, bool, int]:
        return self.layer, self.kind, self.start, self.stop, self.position is not None, self.position or 0

    def __str__(self) -> str:
        name = {"head": f"H{self.start}", "mlp": "M", "neurons": f"N{self.start}"}[self.kind]
        if self.kind == "neurons" and self.stop != self.start + 1:
            name += f":{self.stop}"
        return f"L{self.layer}{name}" + ("" if self.position is None else f"@{self.position}")


def head(layer: int, index: int, position: int | None = None) -> Component:
    """Attention head ``index`` of ``layer``."""
    return Component(layer, "head", index, index + 1, position)


def mlp(layer: int, position: int | None = None) -> Component:
    """The whole MLP block of ``layer``."""
    return Component(layer, "mlp", 0, 0, position)


def neurons(layer: int, start: int, stop: int | None = None, position: int | None = None) -> Component:
    """MLP neurons ``start`` to ``stop`` (half open) of ``layer``; one neuron without ``stop``."""
    return Component(layer, "neurons", start, start + 1 if stop is None else stop, position)


def parse_component(text: str) -> Component:
    """Read a component from its written form; the inverse of ``str(component)``.

    Raises:
        ComponentError: the text is none of the written forms.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ComponentError(f"{text!r} is not a component; components are written {HOW_WRITTEN}")
    layer, head_index, is_mlp, first, stop, position = match.groups()
    at = None if position is None else int(position)
    if head_index is not None:
        return head(int(layer), int(head_index), at)
    if is_mlp is not None:
        return mlp(int(layer), at)
    return neurons(int(layer), int(first), None if stop is None else int(stop), at)
