"""Where components are ablated: one site for each hook, with the map from its units to the components."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from circuitspex.ablation.passes import Hook
from circuitspex.ablation.shapes import Activation, BaselineOfSite, Gates, UnitIndex
from circuitspex.components import KINDS, Component, Layout, ModelStructure, Part
from circuitspex.errors import ComponentError


@dataclass(frozen=True)
class Site:
    """One hook where some components are gated.

    ``hook`` carries activations ``[rows, pos, unit, d_head]`` for heads and their queries, keys and values,
    ``[rows, pos, unit]`` for neurons, and ``[rows, pos, d_model]`` for what counts as one unit: an MLP layer, an
    attention layer, the residual stream.
    ``members`` are the positions of this site's components in the game's list, with the components themselves.
    ``layout`` is where the units are in the activation, where that is not plainly on those axes.
    """

    hook: str
    layer: int
    kind: str
    n_units: int
    members: tuple[tuple[int, Component], ...]
    layout: Layout | None = None

    @property
    def has_baseline(self) -> bool:
        """Whether a baseline stands in for what is ablated here."""
        return KINDS[self.kind].has_baseline

    @property
    def numbers_a_token(self) -> int:
        """How many numbers gating here takes besides the activation itself, for estimates of memory."""
        return 0

    def units(self, component: Component) -> slice | list[int]:
        """The places of a component on the unit axis."""
        return slice(0, 1) if component.is_whole else slice(component.start, component.stop)

    def unit_index(self, n_players: int, n_positions: int) -> UnitIndex:
        """Which player gates each unit at each position; ``n_players`` where none does.

        The position axis has length 1 where all components act at every position.

        Raises:
            ComponentError: a component's position lies outside a prompt of this length.
        """
        everywhere = all(component.position is None for _, component in self.members)
        index = torch.full((1 if everywhere else n_positions, self.n_units), n_players, dtype=torch.long)
        for player, component in self.members:
            units = self.units(component)
            if component.position is None:
                index[:, units] = player
            elif -n_positions <= component.position < n_positions:
                index[component.position, units] = player
            else:
                raise ComponentError(
                    f"{component}: the prompt has {n_positions} tokens, positions {-n_positions} to {n_positions - 1}"
                )
        return index

    def read(self, activation: Activation) -> Activation:
        """What is gated, and what the baseline is taken of: the units, on the axes that stand above."""
        return activation if self.layout is None else self.layout.read(activation)

    def watch(self, keep: Callable[[Activation], None], n_positions: int) -> Hook:
        """A hook that hands ``keep`` what ``read`` gives, for baselines."""
        return self.hook, lambda activation, hook: keep(self.read(activation.detach()))

    def gate(
        self,
        activation: Activation,
        gates: Gates,
        index: UnitIndex,
        baseline: BaselineOfSite | None,
    ) -> Activation:
        """The activation with its units gated."""
        if self.layout is None:
            return ablate(activation, gates, index, baseline)
        return self.layout.write(activation, ablate(self.layout.read(activation), gates, index, baseline))

    def hooks(
        self,
        gates: Gates,
        index: UnitIndex,
        baseline: BaselineOfSite | None,
        n_positions: int,
    ) -> list[Hook]:
        """The forward hooks that gate this site for these masks; rows are all prompts of mask 0, then of mask 1."""

        def gate(activation: Activation, hook: Any) -> Activation:
            there = activation.device  # which is not that of the gates where a model is spread over several devices
            base = None if baseline is None else baseline.to(there)
            return self.gate(activation, gates.to(there), index.to(there), base)

        return [(self.hook, gate)]


Members = tuple[tuple[int, Component], ...]
"""Components of one kind in one layer, each with its place in the game's list."""


def plain_site(part: Part, layer: int, kind: str, members: Members) -> Site:
    """The site of units of one activation."""
    assert part.hook is not None
    return Site(part.hook, layer, kind, part.n_units, members, part.layout)


def sites_of(structure: ModelStructure, components: Sequence[Component]) -> tuple[Site, ...]:
    """The sites of these components, by layer, and in a layer by the order of their kinds."""
    members: dict[tuple[int, str], list[tuple[int, Component]]] = {}
    for player, component in enumerate(components):
        members.setdefault((component.layer, component.kind), []).append((player, component))
    found: list[Site] = []
    for (layer, kind), of_kind in members.items():
        part = structure.layers[layer].part(kind)
        if part.hook is None:
            structure.check(of_kind[0][1])  # raises with the reason
            raise ComponentError(f"{of_kind[0][1]}: {structure.name} has no hook for it")
        found.append(KINDS[kind].site(part, layer, kind, tuple(of_kind)))
    return tuple(sorted(found, key=lambda site: (site.layer, KINDS[site.kind].order)))


def ablate(
    activation: Activation,
    gates: Gates,
    index: UnitIndex,
    baseline: BaselineOfSite | None,
) -> Activation:
    """``z' = b + g (z - b)``, with the gates of each mask for its rows.

    Args:
        activation: z; rows are all prompts of mask 0, then all prompts of mask 1, and so on.
        gates: g of every player in [0, 1] (1 = kept), and a last column of ones.
        index: which column of ``gates`` each unit takes, from ``Site.unit_index``.
        baseline: b, for each prompt or one for all; None is zero.

    Exact at both ends: a gate of 1 gives z itself, a gate of 0 gives b itself.
    """
    n_masks = gates.shape[0]
    z = activation.reshape(n_masks, activation.shape[0] // n_masks, *activation.shape[1:])
    g = gates[:, index].unsqueeze(1)  # masks, 1, pos or 1, unit
    while g.ndim < z.ndim:
        g = g.unsqueeze(-1)
    gated = z * g if baseline is None else torch.lerp(baseline.unsqueeze(0), z, g)
    return gated.reshape(activation.shape)
