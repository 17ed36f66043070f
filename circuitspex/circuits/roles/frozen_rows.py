"""Rows of a pass on one token: which parts of a model are at work in each, and what they then give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from circuitspex.models.protocol import Model

Place = tuple[str, int]
"""'entry' of the first layer, 'head', 'mlp', 'neurons' or 'attention' of one, or the number of an 'other' module."""


@dataclass(frozen=True, eq=False)
class Row:
    """One prompt with some parts of the model at work.

    ``units`` says which units of a place are: None for all of them. ``numbers`` are put in instead of what was there,
    ``[units, width]``.
    """

    prompt: int
    units: Mapping[Place, Sequence[int] | None] = field(default_factory=dict)
    numbers: Mapping[Place, Tensor] = field(default_factory=dict)


def units_of(place: Place, rows: Sequence[Row], given: Tensor, passed: Mapping[Place, Tensor]) -> Tensor:
    """What a place gives in each row, ``[rows, 1, units, width]``: what it gave in the run, or nothing.

    Where a part of it is at work in a place inside of it, or its heads are, that is what comes, less what comes of
    nothing; what a place of heads is inside of, a whole attention, is let through.
    """
    kind, layer = place
    inner = ("neurons", layer) if kind == "mlp" else ("head", layer) if kind == "attention" else None
    lets_through = kind == "attention" and inner in passed
    units = given.clone() if lets_through else given.new_zeros(len(rows), *given.shape[1:])
    own = passed[place]
    for at, row in enumerate(rows):
        if place in row.numbers:
            units[at, 0] = row.numbers[place].to(units)
        elif place in row.units:
            chosen = row.units[place]
            index = slice(None) if chosen is None else list(chosen)
            before = units[0, 0, index] if lets_through else 0.0
            units[at, 0, index] = own[row.prompt, index].to(units) + before
        elif inner is not None and not lets_through and inner in row.units:
            units[at] = given[at] - given[0]
    return units


def layer_of(model: Model, number: int) -> Any:
    """The Hugging Face layer within TransformerLens's block."""
    return model.blocks[number].original_component


def stream_in(args: Any, options: Any) -> Tensor:
    """The residual stream that a layer is given, with or without its name."""
    found: Tensor = args[0] if args else options["hidden_states"]
    return found
