"""One thing that can be ablated, and how it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from circuitspex.components.kinds import KINDS, Kind, how_written, kind_written
from circuitspex.errors import ComponentError

_PATTERN = re.compile(
    r"L(?P<layer>\d+)(?:E(?P<expert>\d+)(?=[A-Z]))?(?P<letter>[A-Z][A-Za-z]*)"
    r"(?:(?P<start>\d+)(?::(?P<stop>\d+))?)?(?P<suffix>\.[a-z_]+)?(?:@(?P<position>-?\d+))?",
    re.ASCII,
)
_LONGEST = 200
"""Of a component's written form; what is longer is not one."""


@total_ordering
@dataclass(frozen=True)
class Component:
    """One part of a model that is ablated as a whole, at every token or at one.

    ``kind`` is the name of one of ``KINDS``: 'head', 'mlp', 'neurons', …
    ``start`` and ``stop`` bound the indices of heads, experts, neurons and latents (half open); both are 0 for what
    has no index. ``position`` is a token position (negative from the end), or None for all of them. ``expert`` is the
    expert that neurons of a mixture of experts belong to (``L5E3N12``), else None.
    """

    layer: int
    kind: str
    start: int = 0
    stop: int = 0
    position: int | None = None
    expert: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ComponentError(f"unknown kind of component {self.kind!r}; allowed: {', '.join(KINDS)}")
        if self.layer < 0 or self.start < 0:
            raise ComponentError(f"a component's layer and index can't be negative: {self.layer}, {self.start}")
        about = self.about
        if (self.expert is not None) != about.in_expert or (self.expert or 0) < 0:
            wanted = "an index of its expert from 0 on" if about.in_expert else "no expert"
            raise ComponentError(f"{about.plural} have {wanted}, not {self.expert}")
        if about.form == "one" and self.stop != self.start + 1:
            article = "an" if about.singular[0] in "aeiou" else "a"
            raise ComponentError(
                f"{article} {about.singular} is one index, so its stop is {self.start + 1}, not {self.stop}"
            )
        if about.form == "whole" and (self.start, self.stop) != (0, 0):
            raise ComponentError(
                f"the {about.singular} has no indices: start and stop are 0, not {self.start}, {self.stop}"
            )
        if about.form == "range" and self.stop <= self.start:
            raise ComponentError(
                f"{self}: an empty range of {about.plural}; the second number must be larger than the first"
            )

    @property
    def about(self) -> Kind:
        """What its kind is."""
        return KINDS[self.kind]

    @property
    def is_whole(self) -> bool:
        """Whether it is the only one of its kind in its layer, so that it has no index."""
        return self.about.form == "whole"

    @property
    def is_activation(self) -> bool:
        """Whether it is an activation of the model, which can be written down and put in elsewhere.

        Experts (choices of a router) and latents (directions within an activation) are not.
        """
        return self.about.is_activation

    def __lt__(self, other: Component) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[int, str, int, int, int, bool, int]:
        at = self.position
        return self.layer, self.kind, self.expert or 0, self.start, self.stop, at is not None, at or 0

    def __str__(self) -> str:
        about = self.about
        index = "" if about.form == "whole" else str(self.start)
        if about.form == "range" and self.stop != self.start + 1:
            index += f":{self.stop}"
        expert = "" if self.expert is None else f"E{self.expert}"
        return f"L{self.layer}{expert}{about.letter}{index}{about.suffix}" + (
            "" if self.position is None else f"@{self.position}"
        )


def head(layer: int, index: int, position: int | None = None) -> Component:
    """Attention head ``index`` of ``layer``."""
    return Component(layer, "head", index, index + 1, position)


def mlp(layer: int, position: int | None = None) -> Component:
    """The whole MLP block of ``layer``."""
    return Component(layer, "mlp", 0, 0, position)


def neurons(layer: int, start: int, stop: int | None = None, position: int | None = None) -> Component:
    """MLP neurons ``start`` to ``stop`` (half open) of ``layer``; one neuron without ``stop``."""
    return Component(layer, "neurons", start, start + 1 if stop is None else stop, position)


def one(layer: int, kind: str, index: int, position: int | None = None) -> Component:
    """The component of that kind with that index."""
    return Component(layer, kind, index, index + 1, position)


def parse_component(text: str) -> Component:
    """Read a component from its written form; the inverse of ``str(component)``.

    Raises:
        ComponentError: the text is none of the written forms.
    """
    match = _PATTERN.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    kind = None
    if match is not None:
        kind = kind_written(match["letter"], match["suffix"] or "", in_expert=match["expert"] is not None)
    if match is not None and kind is not None:
        start, stop = match["start"], match["stop"]
        form = KINDS[kind].form
        if (start is None) == (form == "whole") and (stop is None or form == "range"):
            layer, position = int(match["layer"]), None if match["position"] is None else int(match["position"])
            expert = None if match["expert"] is None else int(match["expert"])
            if start is None:
                return Component(layer, kind, 0, 0, position, expert)
            return Component(layer, kind, int(start), int(start) + 1 if stop is None else int(stop), position, expert)
    shown = text if len(text) <= 60 else f"{text[:59]}…"
    raise ComponentError(f"{shown!r} is not a component; components are written {how_written()}")
