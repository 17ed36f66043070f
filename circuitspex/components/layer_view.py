"""One layer of a loaded model as it is looked at for components, and what is found there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circuitspex.components.latents import Latents
from circuitspex.components.layout import Layout
from circuitspex.components.proof.mixtures import Mixture
from circuitspex.components.proof.proposals import Shape
from circuitspex.components.proof.what_is_proved import Proof
from circuitspex.models.protocol import Model

_LEAVES = re.compile(r"blocks\.(\d+)\.hook_out")


@dataclass(frozen=True)
class Part:
    """The components of one kind in one layer: how many there are, and the hook where they are ablated.

    ``hook`` is None where there are none, and ``why`` then says the reason; ``refused`` where there are some that can't
    be offered. ``point`` names the activation: two hooks that carry the same one have the same point. ``width`` is how
    many numbers a unit has. ``source`` is what their site works with besides the hook: the ``Router`` of experts, the
    ``Latents`` that were given. ``layout`` is where the units are in the activation; None is the plain place, the axis
    after that of positions. Of neurons of experts, ``n_units`` are those of one of the ``n_experts`` experts.
    ``written`` are the points of the other activations that the components write into (transcoders).
    """

    n_units: int = 0
    hook: str | None = None
    why: str = ""
    point: str = ""
    width: int = 1
    source: Any = None
    layout: Layout | None = None
    refused: bool = False
    n_experts: int | None = None
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class LayerView:
    """A layer of a model, what passed the model's hooks in trial passes, and the latents that were given for the layer.

    ``shapes`` are by the full name of a hook, and ``proofs`` by the word of a kind: what was proved of it here.
    ``mixture`` is what it has of experts, None if it has none.
    """

    model: Model
    hooks: Mapping[str, Any]
    layer: int
    shapes: Mapping[str, Shape]
    proofs: Mapping[str, Proof]
    latents: Latents | None
    mixture: Mixture | None = None

    def name(self, hook: str) -> str | None:
        """The full name of a hook of this layer; None where the model has no such hook."""
        name = f"blocks.{self.layer}.{hook}"
        return name if name in self.hooks else None

    def passed(self, name: str) -> tuple[int, ...]:
        """The shape of what passed a hook in a trial pass, by its full name; empty where no tensor did."""
        found = self.shapes.get(name)
        return () if found is None else found.of_two

    def positions(self, name: str) -> int | None:
        """The axis of positions of what passed a hook, as texts of two lengths showed it, or None."""
        found = self.shapes.get(name)
        return None if found is None else found.pos

    def shape(self, hook: str, n_axes: int) -> tuple[int, ...] | None:
        """The shape of what passed a hook of this layer; None where nothing of so many axes did."""
        name = self.name(hook)
        found = () if name is None else self.passed(name)
        return found if len(found) == n_axes else None

    def point(self, name: str) -> str:
        """What is the same for two hooks that carry the same activation: a block's output enters the next one."""
        of_hook = str(self.hooks[name].name)
        leaves = _LEAVES.fullmatch(of_hook)
        after = "" if leaves is None else f"blocks.{int(leaves[1]) + 1}.hook_in"
        return after if after in self.hooks else of_hook
