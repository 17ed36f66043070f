"""One thing that can be ablated, and how it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Literal, get_args

from circuitspex.errors import ComponentError

Kind = Literal["head", "query", "key", "value", "attention", "mlp", "neurons", "residual", "expert", "latents"]

_SINGLE: dict[Kind, str] = {"head": "H", "query": "H", "key": "H", "value": "H", "expert": "E"}
_WHOLE: dict[Kind, str] = {"attention": "A", "mlp": "M", "residual": "R"}
_RANGES: dict[Kind, str] = {"neurons": "N", "latents": "S"}
_PATHS: dict[Kind, str] = {"query": ".q", "key": ".k", "value": ".v"}
_SPOKEN: dict[Kind, str] = {"attention": "attention layer", "mlp": "MLP layer", "residual": "residual stream"}

_PATTERN = re.compile(
    r"L(?P<layer>\d+)(?:H(?P<head>\d+)(?P<path>\.[qkv])?|(?P<whole>[AMR])|E(?P<expert>\d+)"
    r"|(?P<range>[NS])(?P<start>\d+)(?::(?P<stop>\d+))?)(?:@(?P<position>-?\d+))?"
)
HOW_WRITTEN = (
    "'L5H1' (head), 'L5H1.q' (its query; or '.k', '.v'), 'L5A' (attention), 'L5M' (MLP), 'L5R' (residual stream), "
    "'L5N3' or 'L5N0:64' (neurons), 'L5E3' (expert), 'L5S12' (latent), with '@-1' or '@3' for one token"
)


@total_ordering
@dataclass(frozen=True)
class Component:
    """One part of a model that is ablated as a whole, at every token or at one.

    ``kind`` is a head, a head's query, key or value, a whole attention or MLP layer, a block of MLP neurons, the
    residual stream that enters the layer, an expert, or a block of latents of a sparse autoencoder.
    ``start`` and ``stop`` bound the indices of heads, experts, neurons and latents (half open); both are 0 for what
    has no index. ``position`` is a token position (negative from the end), or None for all of them.
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
        if self.kind in _SINGLE and self.stop != self.start + 1:
            article = "an" if self.kind == "expert" else "a"
            raise ComponentError(
                f"{article} {self.kind} is one index, so its stop is {self.start + 1}, not {self.stop}"
            )
        if self.is_whole and (self.start, self.stop) != (0, 0):
            name = _SPOKEN[self.kind]
            raise ComponentError(f"the {name} has no indices: start and stop are 0, not {self.start}, {self.stop}")
        if self.kind in _RANGES and self.stop <= self.start:
            raise ComponentError(
                f"{self}: an empty range of {self.kind}; the second number must be larger than the first"
            )

    @property
    def is_whole(self) -> bool:
        """Whether it is the only one of its kind in its layer, so that it has no index."""
        return self.kind in _WHOLE

    @property
    def is_activation(self) -> bool:
        """Whether it is an activation of the model, which can be written down and put in elsewhere.

        Experts (choices of a router) and latents (directions within an activation) are not.
        """
        return self.kind not in ("expert", "latents")

    def __lt__(self, other: Component) -> bool:
        return self._order() < other._order()

    def _order(self) -> tuple[int, str, int, int, bool, int]:
        return self.layer, self.kind, self.start, self.stop, self.position is not None, self.position or 0

    def __str__(self) -> str:
        letter = (_SINGLE | _WHOLE | _RANGES)[self.kind]
        name = letter if self.is_whole else f"{letter}{self.start}{_PATHS.get(self.kind, '')}"
        if self.kind in _RANGES and self.stop != self.start + 1:
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


def one(layer: int, kind: Kind, index: int, position: int | None = None) -> Component:
    """The component of that kind with that index."""
    return Component(layer, kind, index, index + 1, position)


def parse_component(text: str) -> Component:
    """Read a component from its written form; the inverse of ``str(component)``.

    Raises:
        ComponentError: the text is none of the written forms.
    """
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ComponentError(f"{text!r} is not a component; components are written {HOW_WRITTEN}")
    layer, position = int(match["layer"]), None if match["position"] is None else int(match["position"])
    if match["head"] is not None:
        paths: dict[str | None, Kind] = {path: kind for kind, path in _PATHS.items()}
        return one(layer, paths.get(match["path"], "head"), int(match["head"]), position)
    if match["expert"] is not None:
        return one(layer, "expert", int(match["expert"]), position)
    if match["whole"] is not None:
        whole = next(kind for kind, letter in _WHOLE.items() if letter == match["whole"])
        return Component(layer, whole, 0, 0, position)
    start = int(match["start"])
    stop = start + 1 if match["stop"] is None else int(match["stop"])
    return Component(layer, "neurons" if match["range"] == "N" else "latents", start, stop, position)
