"""From components to the sites at which they are ablated."""

from __future__ import annotations

from collections.abc import Sequence

from circuitspex.ablation.experts import ExpertSite
from circuitspex.ablation.latents import LatentSite
from circuitspex.ablation.sites import Site
from circuitspex.components import Component, ModelStructure
from circuitspex.errors import ComponentError

# The order in which a layer computes them; latents come where their hook is, which is last for most.
_ORDER = ("residual", "query", "key", "value", "head", "attention", "expert", "neurons", "mlp", "latents")


def sites_of(structure: ModelStructure, components: Sequence[Component]) -> tuple[Site, ...]:
    """The sites of these components, in the order in which the model computes them."""
    members: dict[tuple[int, str], list[tuple[int, Component]]] = {}
    for player, component in enumerate(components):
        members.setdefault((component.layer, component.kind), []).append((player, component))
    found: list[Site] = []
    for (layer, kind), of_kind in members.items():
        about = structure.layers[layer]
        part = about.part(of_kind[0][1].kind)
        if part.hook is None:
            structure.check(of_kind[0][1])  # raises with the reason
            raise ComponentError(f"{of_kind[0][1]}: {structure.name} has no hook for it")
        if kind == "latents" and about.latents is not None:
            found.append(LatentSite.of(about.latents, of_kind))
        elif kind == "expert" and about.router is not None:
            found.append(ExpertSite(part.hook, layer, kind, part.n_units, tuple(of_kind), router=about.router))
        else:
            found.append(Site(part.hook, layer, kind, part.n_units, tuple(of_kind)))
    return tuple(sorted(found, key=lambda site: (site.layer, _ORDER.index(site.kind))))
