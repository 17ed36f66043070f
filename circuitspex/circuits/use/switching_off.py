"""Ablated components switched off in the weights: nothing reads them, and their means are in the bias after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from circuitspex.circuits.use.draft import Draft
from circuitspex.circuits.use.places import LayerPlaces, Projection
from circuitspex.circuits.use.ready import Ready
from circuitspex.components import Component, ModelStructure
from circuitspex.errors import ComponentError, UserError

KINDS = ("head", "attention", "mlp", "neurons")
_BIASES = ("attention_bias", "attention_out_bias", "mlp_bias", "use_bias", "enable_bias", "bias")


@dataclass(frozen=True)
class Left:
    """What is left of one layer: the heads and the neurons that go on, by index; None where it has none to count."""

    heads: tuple[int, ...] | None
    neurons: tuple[int, ...] | None


def check_kinds(components: Sequence[Component]) -> None:
    """Nothing where all are of kinds that can be taken out of a checkpoint.

    Raises:
        ComponentError: one is not.
    """
    for component in components:
        if component.kind not in KINDS:
            raise ComponentError(
                f"{component}: {component.about.plural} can't be taken out of a checkpoint; heads, attention layers, "
                "MLP layers and neurons can"
            )


def switched_off(draft: Draft, made: Ready, places: Sequence[LayerPlaces]) -> tuple[Left, ...]:
    """Do it in the draft; what is left of each layer.

    Raises:
        UserError: the model has no place for a mean, or it is not known where its weights are.
    """
    changes = [_Changes(made.structure, layer, made, of_layer) for layer, of_layer in enumerate(places)]
    biases = [bias for each in changes for bias in each.biases]
    lacking = _lacking(draft, biases)
    if lacking:
        raise UserError(
            f"{draft.of.__name__} has no bias '{lacking[0]}' that a mean could be folded into; use baseline='zero'"
        )
    for each in changes:
        each.make(draft)
    return tuple(each.left for each in changes)


def _lacking(draft: Draft, names: Sequence[str]) -> list[str]:
    """Those of these biases that the model can't have; the others it is given, all zero, as its configuration allows.

    Configurations have one switch for all biases of attention, or of MLPs, or of both.
    """
    for switch in _BIASES:
        lacking = [name for name in names if name not in draft.tensors]
        if not lacking:
            return []
        if getattr(draft.fields, switch, None) is False:
            tried = draft.copy()
            if tried.enlarge({switch: True}) and any(name in tried.tensors for name in lacking):
                draft.config, draft.tensors = tried.config, tried.tensors
    return [name for name in names if name not in draft.tensors]


class _Changes:
    """What is ablated in one layer."""

    def __init__(self, structure: ModelStructure, layer: int, made: Ready, places: LayerPlaces) -> None:
        own = [c for c in made.ablated if c.layer == layer]
        self.by_kind = {kind: [c for c in own if c.kind == kind] for kind in KINDS}
        self.vectors = {c: made.vector(c) for c in own}
        self.places = places
        about = structure.layers[layer]
        self.n_heads = n_heads = about.n_heads
        n_neurons = about.n_neurons
        if self.by_kind["mlp"] and about.part("expert").hook is not None:
            raise UserError(f"L{layer}M is a mixture of experts, which can't be taken out of a checkpoint")
        for kinds, place, n_units in (
            (("head", "attention"), places.after_heads, n_heads * about.part("head").width),
            (("mlp", "neurons"), places.after_neurons, n_neurons),
        ):
            first = next((c for kind in kinds for c in self.by_kind[kind]), None)
            if first is not None and (place is None or (n_units and place.n_in != n_units)):
                raise UserError(f"{first}: it is not known where the weights after it are in this model")
        if not n_neurons and places.after_neurons is not None:
            n_neurons = places.after_neurons.n_in
        self.left = Left(self._left("head", "attention", n_heads), self._left("neurons", "mlp", n_neurons))

    def _left(self, kind: str, whole: str, n_units: int) -> tuple[int, ...] | None:
        off = {i for c in self.by_kind[kind] for i in range(c.start, c.stop)}
        kept = () if self.by_kind[whole] else tuple(i for i in range(n_units) if i not in off)
        return kept if n_units else None

    @property
    def biases(self) -> list[str]:
        """The names of the biases that take up means."""
        found = []
        for units, whole, place in self._sides():
            if any(self.vectors[c] is not None for c in (whole or units)):
                assert place is not None
                found.append(place.bias)
        return found

    def make(self, draft: Draft) -> None:
        """Change the tensors of this layer."""
        for units, whole, place in self._sides():
            if place is None or not (units or whole):
                continue
            weight = draft.tensors[place.weight].clone()
            change = weight.new_zeros(place.n_out, dtype=torch.float64)
            if whole:
                vector = self.vectors[whole[0]]
                weight.zero_()
                if place.bias in draft.tensors:
                    draft.tensors[place.bias] = torch.zeros_like(draft.tensors[place.bias])
                if vector is not None:
                    change += vector.double()
            else:
                rows = weight.T if not place.transposed else weight  # [in, out], of the same memory
                for component in units:
                    vector = self.vectors[component]
                    at = self._inputs(component, place)
                    if vector is not None:
                        change += vector.double() @ rows[at].double()
                    rows[at] = 0
            draft.tensors[place.weight] = weight
            if bool(change.any()):
                bias = draft.tensors[place.bias]
                draft.tensors[place.bias] = (bias.double() + change).to(bias.dtype)

    def _sides(self) -> tuple[tuple[list[Component], list[Component], Projection | None], ...]:
        """Units, what holds all of them, and the projection after them: of attention, and of the MLP."""
        kinds, places = self.by_kind, self.places
        return (
            (kinds["head"], kinds["attention"], places.after_heads),
            (kinds["neurons"], kinds["mlp"], places.after_neurons),
        )

    def _inputs(self, component: Component, place: Projection) -> slice:
        """Which of its inputs a component is."""
        width = 1 if component.kind == "neurons" else place.n_in // self.n_heads
        return slice(component.start * width, component.stop * width)
