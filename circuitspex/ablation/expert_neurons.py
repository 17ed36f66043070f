"""Neurons of experts as components: what each writes is its activation times the weight of its expert's choice.

A token that an expert was not chosen for has neurons of 0 there. With f the neurons, gate g and baseline b the experts
give ``out + sum over neurons i of (g_i - 1) (f_i - b_i) W_i``, where ``W_i`` is what the expert's output projection
makes of neuron i; so ablated neurons of all experts write what they write on the counterfactual prompt under
'resample', whichever experts were chosen there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float

from circuitspex.ablation.passes import Hook
from circuitspex.ablation.shapes import Activation, BaselineOfSite, Gates, UnitIndex
from circuitspex.ablation.sites import Members, Site
from circuitspex.components import Component, ExpertNeurons, Part

_Neurons = Float[torch.Tensor, "rows pos gated"]


@dataclass(frozen=True)
class ExpertNeuronSite(Site):
    """Neurons of the experts of one layer; the units are those that some component holds, in the order of ``places``.

    ``places`` are by expert and index.
    """

    neurons: ExpertNeurons = field(kw_only=True)
    places: dict[tuple[int, int], int] = field(kw_only=True)

    @property
    def numbers_a_token(self) -> int:
        """What is computed here besides what the experts give."""
        return 4 * self.n_units

    def units(self, component: Component) -> slice | list[int]:
        """The places of a component among the neurons that are gated here."""
        assert component.expert is not None
        return [self.places[component.expert, i] for i in range(component.start, component.stop)]

    def hooks(self, gates: Gates, index: UnitIndex, baseline: BaselineOfSite | None, n_positions: int) -> list[Hook]:
        """A plain hook on the experts, which adds what the module's text says."""

        def gate(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Activation) -> Activation:
            f, projections = self._written(args, kwargs, n_positions)
            n_masks = len(gates)
            by_mask = f.reshape(n_masks, f.shape[0] // n_masks, *f.shape[1:])
            g = gates.to(f.device)[:, index.to(f.device)].unsqueeze(1).to(f.dtype)  # masks, 1, pos or 1, unit
            base = 0 if baseline is None else baseline.to(f).unsqueeze(0)
            change = ((g - 1) * (by_mask - base)).reshape(-1, f.shape[-1])
            total = output.reshape(len(change), -1)
            for expert, project in projections.items():
                own = [i for e, i in self.places if e == expert]
                units = [self.places[expert, i] for i in own]
                values = change.new_zeros((len(change), self.neurons.width))
                values = values.index_copy(1, torch.tensor(own, device=f.device), change[:, units])
                total = total + project(values).to(total.dtype)
            return total.reshape(output.shape)

        return [(self.neurons.module, gate)]

    def watch(self, keep: Callable[[Activation], None], n_positions: int) -> Hook:
        """A hook that sees what the neurons write."""

        def look(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Activation) -> None:
            keep(self._written(args, kwargs, n_positions)[0])

        return self.neurons.module, look

    def _written(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], n_positions: int
    ) -> tuple[_Neurons, dict[int, Callable[[torch.Tensor], torch.Tensor]]]:
        """The neurons times the weight of their experts, 0 where these weren't chosen; the experts' projections."""
        x, indices, weights = self.neurons.given(args, kwargs)
        f = x.new_zeros((len(x), self.n_units))
        projections = {}
        for expert in sorted({expert for expert, _ in self.places}):
            own = [i for e, i in self.places if e == expert]
            units = torch.tensor([self.places[expert, i] for i in own], device=x.device)
            chosen = (indices == expert).any(-1).nonzero().flatten()
            # An expert that no token was sent to is run on one all the same: its projection may be needed.
            rows = chosen if len(chosen) else chosen.new_zeros(1)
            activations, projections[expert], _ = self.neurons.run(expert, x[rows])
            if len(chosen):
                weight = (weights * (indices == expert)).sum(-1)[rows, None]
                written = x.new_zeros((len(rows), self.n_units)).index_copy(1, units, weight * activations[:, own])
                f = f.index_add(0, rows, written.to(f.dtype))
        return f.reshape(-1, n_positions, self.n_units), projections


def expert_neuron_site(part: Part, layer: int, kind: str, members: Members) -> ExpertNeuronSite:
    """The site of some neurons of the experts of one layer."""
    assert part.hook is not None
    held = {(c.expert or 0, i) for _, c in members for i in range(c.start, c.stop)}
    places = {unit: place for place, unit in enumerate(sorted(held))}
    return ExpertNeuronSite(part.hook, layer, kind, len(places), members, neurons=part.source, places=places)
