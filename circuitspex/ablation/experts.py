"""Experts as components: what is off is out of the router's choice.

``log(g)`` is added to the router's logit of an expert with gate g (and to the score of its choice where that has a
bias), and the router then chooses and weighs as it always does (``components.experts``). So an expert that is off is
passed over, and the next best one takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from circuitspex.ablation.passes import Hook
from circuitspex.ablation.shapes import BaselineOfSite, Gates, UnitIndex
from circuitspex.ablation.sites import Members, Site
from circuitspex.components import Part, Router
from circuitspex.errors import ComponentError


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
        """A plain hook on the router, which puts in the weights and the choice under the gates.

        Raises:
            ComponentError: when it runs: an expert with a gate of 0 is chosen at one of the tokens that are run.
        """
        router = self.router
        of_units = gates[:, index]  # masks, pos or 1, experts

        def choose(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], returned: tuple[Any, ...]) -> Any:
            n_tokens = len(returned[router.indices])
            n_prompts = n_tokens // (len(gates) * n_positions)
            of_tokens = of_units[:, None].expand(-1, n_prompts, n_positions, -1).reshape(n_tokens, -1)
            try:
                found, indices = router.choose(args, kwargs, of_tokens.to(returned[router.indices].device))
            except ComponentError as error:
                raise ComponentError(f"layer {self.layer} has experts whose router can't be masked: {error}") from None
            parts = list(returned)
            parts[router.weights] = found.to(returned[router.weights].dtype)
            parts[router.indices] = indices.to(returned[router.indices].dtype)
            return tuple(parts)

        return [(router.module, choose)]


def expert_site(part: Part, layer: int, kind: str, members: Members) -> ExpertSite:
    """The site of some experts of one layer."""
    assert part.hook is not None
    return ExpertSite(part.hook, layer, kind, part.n_units, members, router=part.source)
