"""Experts as components: what is off is out of the router's choice.

``log(g)`` is added to the router's logit of an expert with gate g, and the router then chooses and weighs as it always
does (``components.experts``). So an expert that is off is passed over, and the next best one takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int

from circuitspex.ablation.shapes import BaselineOfSite, Gates, UnitIndex
from circuitspex.ablation.sites import Hook, Members, Site
from circuitspex.components import Part, Router

_Weights = Float[torch.Tensor, "tokens chosen_or_experts"]
_Chosen = Int[torch.Tensor, "tokens chosen"]


@dataclass(frozen=True)
class ExpertSite(Site):
    """The experts of one layer; units are experts. There is no baseline: other experts write instead."""

    router: Router = field(kw_only=True)

    def hooks(
        self,
        gates: Gates,
        index: UnitIndex,
        baseline: BaselineOfSite | None,
        n_positions: int,
    ) -> list[Hook]:
        """Hooks on the router: one sees what it reads, two put in the weights and the choice under the gates."""
        router = self.router
        of_units = gates[:, index]  # masks, pos or 1, experts
        seen: list[torch.Tensor] = []
        chosen: list[torch.Tensor] = []

        def see(x: Float[torch.Tensor, "*rows d_model"], hook: Any) -> None:
            seen[:] = [x]

        def weigh(weights: _Weights, hook: Any) -> _Weights:
            x = seen[0].reshape(-1, seen[0].shape[-1])
            n_prompts = len(x) // (len(gates) * n_positions)
            of_tokens = of_units[:, None].expand(-1, n_prompts, n_positions, -1).reshape(len(x), -1)
            found, indices = router.choose(x, of_tokens.to(x.device))
            chosen[:] = [indices]
            if weights.shape == found.shape:
                return found.to(weights.dtype)
            # The hook carries a column for each expert, zero for those that were not chosen.
            return torch.zeros_like(weights).scatter(-1, indices.long(), found.to(weights.dtype))

        def choose(indices: _Chosen, hook: Any) -> _Chosen:
            return chosen[0].to(indices.dtype)

        hooks: list[Hook] = [(f"{router.path}.hook_in", see), (f"{router.path}.hook_expert_weights", weigh)]
        return [*hooks, (f"{router.path}.hook_expert_indices", choose)]


def expert_site(part: Part, layer: int, kind: str, members: Members) -> ExpertSite:
    """The site of some experts of one layer."""
    assert part.hook is not None
    return ExpertSite(part.hook, layer, kind, part.n_units, members, router=part.source)
