"""What each kind of component could be in a layer, the likeliest first: claims for a trial to judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from circuitspex.components.layout import Layout
from circuitspex.components.proof.claims import Adds, Claim, Enters, HeadsRead, IsRead, Moves
from circuitspex.components.proof.sizes import heads_said, key_value_heads_said
from circuitspex.models.protocol import Model


@dataclass(frozen=True)
class Shape:
    """What two passes over texts of different lengths showed of a hook's activation.

    ``of_two`` is its shape with two rows; ``pos`` the axis that had the length of the text, None if there is none such.
    """

    of_two: tuple[int, ...]
    pos: int | None

    @property
    def a_token(self) -> tuple[int, ...]:
        """The shape of what belongs to one token."""
        return tuple(n for axis, n in enumerate(self.of_two) if axis not in (0, self.pos))

    def layout(self, n_units: int, start: int = 0, stop: int | None = None) -> Layout | None:
        """These units of it; None is the plain ``[rows, pos, unit, width]``."""
        assert self.pos is not None
        plain = self.pos == 1 and self.a_token[:1] == (n_units,) and len(self.a_token) == 2
        return None if plain and start == 0 and stop is None else Layout(n_units, self.pos, start, stop)


Proposal = Callable[[Model, int, str, Shape], Iterator[Claim]]
"""From a model, a layer, the full name of a hook and what passes there to what it could be."""


def of_attention(model: Model, layer: int, hook: str, shape: Shape) -> Iterator[Claim]:
    """What attention adds to the residual stream."""
    yield from (Adds(hook) for _ in range(shape.pos == 1))


def of_mlp(model: Model, layer: int, hook: str, shape: Shape) -> Iterator[Claim]:
    """What the MLP adds to the residual stream."""
    yield from (Adds(hook, of_attention=False) for _ in range(shape.pos == 1))


def of_stream(model: Model, layer: int, hook: str, shape: Shape) -> Iterator[Claim]:
    """The residual stream that enters the layer."""
    yield from (Enters(hook) for _ in range(shape.pos == 1))


def of_neurons(model: Model, layer: int, hook: str, shape: Shape) -> Iterator[Claim]:
    """What the MLP's output projection reads."""
    if shape.pos == 1 and len(shape.a_token) == 1:
        yield IsRead(hook, n_units=shape.a_token[0])


def of_heads(model: Model, layer: int, hook: str, shape: Shape) -> Iterator[Claim]:
    """What the attention's output projection reads, in as many parts as the model says that it has heads."""
    for n_heads in heads_said(model, layer):
        if shape.pos == 1 and math.prod(shape.a_token) % n_heads == 0:
            yield HeadsRead(hook, shape.layout(n_heads), n_units=n_heads)


def of_queries(model: Model, layer: int, hook: str, shape: Shape) -> Iterator[Claim]:
    """A query for each head: all the numbers of its part, or the half beside which there is a gate."""
    for n_heads in heads_said(model, layer):
        width, rest = divmod(math.prod(shape.a_token), n_heads)
        if rest or not width or shape.pos is None:
            continue
        halves = [] if width % 2 else [(0, width // 2), (width // 2, None)]
        for start, stop in [(0, None), *halves]:
            layout = shape.layout(n_heads, start, stop)
            for shuffled in (False, True):
                yield Moves(hook, layout, n_units=n_heads, n_heads=n_heads, shuffled=shuffled)


def of_keys(model: Model, layer: int, hook: str, shape: Shape) -> Iterator[Claim]:
    """A key for each head, or for each group of heads."""
    yield from _shared(model, layer, hook, shape, is_value=False)


def of_values(model: Model, layer: int, hook: str, shape: Shape) -> Iterator[Claim]:
    """A value for each head, or for each group of heads."""
    yield from _shared(model, layer, hook, shape, is_value=True)


def _shared(model: Model, layer: int, hook: str, shape: Shape, *, is_value: bool) -> Iterator[Claim]:
    said = key_value_heads_said(model, layer)
    for n_heads in heads_said(model, layer):
        own = shape.a_token[:1] if len(shape.a_token) > 1 else ()
        # Fewer units than there are could be told apart too, so there are no guesses but these; the most first.
        for n_units in dict.fromkeys([*said, *sorted({*own, n_heads}, reverse=True)]):
            if n_heads % n_units or math.prod(shape.a_token) % n_units or shape.pos is None:
                continue
            layout = shape.layout(n_units)
            for shuffled in (False, True):
                yield Moves(hook, layout, n_units=n_units, n_heads=n_heads, is_value=is_value, shuffled=shuffled)
