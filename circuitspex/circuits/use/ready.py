"""Made ready once: which components are ablated on any prompt, where, and what stands in for them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from circuitspex.ablation.shapes import BaselineOfSite, Gates, UnitIndex
from circuitspex.ablation.sites import Site, sites_of
from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.use.parts import Parts, parts_of
from circuitspex.circuits.use.stand_ins import Prompts, stand_ins
from circuitspex.components import Component, ModelStructure, Selector
from circuitspex.models import model_identity
from circuitspex.models.protocol import Model


@dataclass(frozen=True)
class Ready:
    """Gates of components at their sites; sites where every gate is 1 are left out.

    ``gates`` ``[1, components + 1]`` are those of ``parts.all``, with a last one that is 1; ``instead`` is what each
    site gives at gate 0, ``[1, 1, ...]`` by hook name, None for zero.
    """

    parts: Parts
    structure: ModelStructure
    gates: Gates
    sites: tuple[tuple[Site, UnitIndex], ...]
    instead: Mapping[str, BaselineOfSite | None]

    @property
    def ablated(self) -> tuple[Component, ...]:
        """The components with a gate of 0."""
        return tuple(c for c, gate in zip(self.parts.all, self.gates[0, :-1].tolist(), strict=True) if gate == 0)

    def vector(self, component: Component) -> torch.Tensor | None:
        """What an ablated component gives at every token, flat; None for zero."""
        site = next(site for site, _ in self.sites if any(component == each for _, each in site.members))
        base = self.instead[site.hook]
        if base is None or component.is_whole:
            return None if base is None else base.flatten()
        return base[0, 0, site.units(component)].flatten()

    @contextlib.contextmanager
    def hooked(self, model: Model) -> Iterator[None]:
        """Within the block every pass of the model has these gates."""
        # A position axis of length 1: whatever the pass is, all of a prompt or the next token, all tokens are alike.
        hooks = [
            hook for site, index in self.sites for hook in site.hooks(self.gates, index, self.instead[site.hook], 1)
        ]
        named = [(place, function) for place, function in hooks if isinstance(place, str)]
        with contextlib.ExitStack() as stack:
            for place, function in hooks:
                if not isinstance(place, str):
                    stack.callback(place.register_forward_hook(function, with_kwargs=True).remove)
            stack.enter_context(model.hooks(named))
            yield


def ready(
    circuit: Circuit,
    model: Model,
    structure: ModelStructure,
    *,
    gate: float,
    others: float,
    baseline: str,
    prompts: Prompts | None = None,
    among: Selector | None = None,
) -> Ready:
    """The circuit's components with this ``gate``, the ``others`` with that; see ``Circuit.applied`` for the rest."""
    parts = parts_of(circuit, structure, among)
    parameter = next(model.parameters())
    gates = parameter.detach().new_ones((1, len(parts.all) + 1))
    gates[:, : len(parts.members)] = gate
    gates[:, len(parts.members) : -1] = others
    indexed = [
        (site, site.unit_index(len(parts.all), 1).to(parameter.device)) for site in sites_of(structure, parts.all)
    ]
    chosen = tuple((site, index) for site, index in indexed if bool((gates[:, index] != 1).any()))
    instead = stand_ins(circuit, model, [site for site, _ in chosen], baseline, prompts)
    return Ready(parts, structure, gates, chosen, instead)


def warn_of_other_weights(circuit: Circuit, model: Any, stacklevel: int) -> None:
    """A warning where the model has other weights than the circuit was found in."""
    wanted = circuit.model.get("identity")
    if wanted and model_identity(model) != wanted:
        warnings.warn(
            "these are not the weights that the circuit was found in: what was measured of it need not hold here",
            stacklevel=stacklevel + 1,
        )
