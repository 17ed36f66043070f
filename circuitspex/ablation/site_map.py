"""From components to the sites at which they are ablated."""

from __future__ import annotations

from collections.abc import Sequence

from circuitspex.ablation.sites import Site
from circuitspex.components import KINDS, Component, ModelStructure
from circuitspex.errors import ComponentError


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
