"""What is proved of each kind of component on one model, and its form as text, for later processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from circuitspex.components.layout import Layout
from circuitspex.components.proof.mixtures import Mixture
from circuitspex.components.proof.proposals import Proposal, Shape


@dataclass(frozen=True)
class Wanted:
    """A kind of which something is to be proved: its hooks within a layer, the likeliest first, and what it could be.

    ``proposed`` is None where only the shape of what passes is wanted.
    """

    hooks: tuple[str, ...]
    proposed: Proposal | None


@dataclass(frozen=True)
class Proof:
    """That the hook of a kind in a layer carries what its name promises; ``why`` is None if so, else the reason.

    ``n_units`` units of ``width`` numbers, in that ``layout`` (None is the plain one).
    """

    hook: str
    why: str | None = None
    n_units: int = 1
    width: int = 1
    layout: Layout | None = None


@dataclass(frozen=True)
class Proofs:
    """By layer and kind, the shapes of all activations that were looked at, by hook, and the mixtures of experts."""

    shapes: Mapping[str, Shape]
    of: Mapping[tuple[int, str], Proof]
    mixtures: Mapping[int, Mixture]


def as_text(proofs: Proofs) -> bytes:
    """All but the mixtures of experts, which hold modules of the model, as JSON."""
    shapes = {hook: [list(shape.of_two), shape.pos] for hook, shape in proofs.shapes.items()}
    found = [[layer, word, asdict(proof)] for (layer, word), proof in proofs.of.items()]
    return json.dumps({"shapes": shapes, "of": found}).encode()


def from_text(text: bytes, mixtures: Mapping[int, Mixture]) -> Proofs:
    """What ``as_text`` wrote.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    read = json.loads(text)
    shapes = {hook: Shape(tuple(of_two), pos) for hook, (of_two, pos) in read["shapes"].items()}
    return Proofs(shapes, {(layer, word): _proof(fields) for layer, word, fields in read["of"]}, mixtures)


def _proof(fields: dict[str, Any]) -> Proof:
    layout = fields.pop("layout")
    return Proof(**fields, layout=None if layout is None else Layout(**layout))
