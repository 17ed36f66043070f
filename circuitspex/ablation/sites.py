"""Where components are ablated: one site for each hook, with the map from its units to the components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int

from circuitspex.components import Component, ModelStructure
from circuitspex.errors import ComponentError


@dataclass(frozen=True)
class Site:
    """One hook where some components are gated.

    ``hook`` carries activations ``[rows, pos, unit, d_head]`` for heads, ``[rows, pos, unit]`` for neurons and
    ``[rows, pos, d_model]`` for an MLP layer, which counts as one unit.
    ``members`` are the positions of this site's components in the game's list, with the components themselves.
    """

    hook: str
    layer: int
    kind: str
    n_units: int
    members: tuple[tuple[int, Component], ...]

    def unit_index(self, n_players: int, n_positions: int) -> Int[torch.Tensor, "pos unit"]:
        """Which player gates each unit at each position; ``n_players`` where none does.

        The position axis has length 1 where all components act at every position.

        Raises:
            ComponentError: a component's position lies outside a prompt of this length.
        """
        everywhere = all(component.position is None for _, component in self.members)
        index = torch.full((1 if everywhere else n_positions, self.n_units), n_players, dtype=torch.long)
        for player, component in self.members:
            units = slice(0, 1) if component.kind == "mlp" else slice(component.start, component.stop)
            if component.position is None:
                index[:, units] = player
            elif -n_positions <= component.position < n_positions:
                index[component.position, units] = player
            else:
                raise ComponentError(
                    f"{component}: the prompt has {n_positions} tokens, positions {-n_positions} to {n_positions - 1}"
                )
        return index


def sites_of(structure: ModelStructure, components: Sequence[Component]) -> tuple[Site, ...]:
    """The sites of these components, in the order in which the model computes them."""
    found: dict[str, Site] = {}
    for player, component in enumerate(components):
        layer = structure.layers[component.layer]
        hook, units = {
            "head": (layer.head_hook, layer.n_heads),
            "mlp": (layer.mlp_hook, 1),
            "neurons": (layer.neuron_hook, layer.n_neurons),
        }[component.kind]
        if hook is None:
            structure.check(component)
            raise ComponentError(f"{component}: {structure.name} has no hook for it")
        member = ((player, component),)
        old = found.get(hook)
        members = member if old is None else old.members + member
        found[hook] = Site(hook, component.layer, component.kind, units, members)
    order = {"head": 0, "neurons": 1, "mlp": 2}
    return tuple(sorted(found.values(), key=lambda site: (site.layer, order[site.kind])))


def ablate(
    activation: Float[torch.Tensor, "rows pos *unit"],
    gates: Float[torch.Tensor, "masks player_and_one"],
    index: Int[torch.Tensor, "pos_or_1 unit"],
    baseline: Float[torch.Tensor, "prompts_or_1 pos *unit"] | None,
) -> Float[torch.Tensor, "rows pos *unit"]:
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
