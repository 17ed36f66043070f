"""What a loaded model has that can be ablated, found by looking at it rather than by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from circuitspex.components.component import Component
from circuitspex.components.kinds import KINDS
from circuitspex.components.latents import Latents, one_a_layer
from circuitspex.components.layer_view import LayerView, Part
from circuitspex.components.proof.proofs import proofs, shapes_at
from circuitspex.components.proof.proposals import Shape
from circuitspex.components.proof.what_is_proved import Proof, Wanted
from circuitspex.errors import ComponentError
from circuitspex.models.given import bridged
from circuitspex.models.protocol import Model


@dataclass(frozen=True)
class LayerStructure:
    """One layer: what it has of each kind of component, by the kind's name."""

    parts: Mapping[str, Part]

    def part(self, kind: str) -> Part:
        """The components of that kind."""
        found = self.parts.get(kind)
        return Part(why=f"has {KINDS[kind].lack}") if found is None else found

    @property
    def n_heads(self) -> int:
        """How many attention heads there are."""
        return self.part("head").n_units

    @property
    def n_neurons(self) -> int:
        """How many neurons the MLP has; 0 where they have no hook."""
        return self.part("neurons").n_units


@dataclass(frozen=True)
class ModelStructure:
    """The layers of a model, and its name for messages."""

    name: str
    layers: tuple[LayerStructure, ...]

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        return len(self.layers)

    def check(self, component: Component) -> Component:
        """The component itself, if this model has it.

        Raises:
            ComponentError: one line that says what the model has instead.
        """
        if component.layer >= self.n_layers:
            raise ComponentError(f"{component}: {self.name} has {self.n_layers} layers, L0 to L{self.n_layers - 1}")
        layer = self.layers[component.layer]
        part = layer.part(component.kind)
        where = f"{component}: layer {component.layer} of {self.name}"
        if part.hook is None:
            raise ComponentError(f"{where} {part.why}")
        if component.expert is not None and component.expert >= (part.n_experts or 0):
            raise ComponentError(f"{where} has {part.n_experts} experts, E0 to E{(part.n_experts or 0) - 1}")
        if component.stop > part.n_units:
            about = component.about
            ends = f"{about.letter}0 to {about.letter}{part.n_units - 1}"
            if about.letter == KINDS["head"].letter and part.n_units < layer.n_heads:
                raise ComponentError(
                    f"{where} has {part.n_units} key/value heads, {ends}, each of which serves "
                    f"{layer.n_heads // part.n_units} of its {layer.n_heads} query heads"
                )
            each = "" if component.expert is None else " in each expert"
            what = about.plural if component.expert is None else "neurons"
            raise ComponentError(f"{where} has {part.n_units} {what}{each}, {ends}")
        return component


def model_structure(model: Model, latents: Latents | Iterable[Latents] | None = None) -> ModelStructure:
    """Look at a TransformerBridge: which components each layer has, as proved on this model.

    A few short passes show the shapes of activations and that changing them does what the names promise
    (``components.proof``), so that layers may differ from each other, and what a layer has under a name that means
    something else is refused with the reason. It is done once for each model.

    Args:
        model: the bridge.
        latents: of sparse autoencoders and transcoders, at most one set a layer.

    Raises:
        ComponentError: latents at a hook that the model does not have, or of another width than what passes there; or
            a transcoder that would write at a hook which the model comes to before the one that it reads.
    """
    model = bridged(model)
    given = one_a_layer(latents)
    hooks = model.hook_dict
    n_layers = int(model.cfg.n_layers)
    name = str(getattr(model.cfg, "model_name", None) or "this model")
    for one in given.values():
        if one.layer >= n_layers:
            raise ComponentError(f"latents at '{one.hook}': {name} has {n_layers} layers, 0 to {n_layers - 1}")
        for hook in (one.hook, *one.output_hooks):
            if hook not in hooks:
                raise ComponentError(
                    f"latents at '{hook}': {name} has no such hook; it has 'blocks.{one.layer}.hook_resid_pre', for one"
                )
    known = proofs(model, {word: Wanted(kind.hooks, kind.proposed) for word, kind in KINDS.items()})
    wanted = {hook for one in given.values() for hook in (one.hook, *one.output_hooks)}
    shapes = {**known.shapes, **_passing(model, sorted(wanted - set(known.shapes)))}
    for one in given.values():
        if one.output_hook is not None:
            _check_order(model, one)
    of_layer: dict[int, dict[str, Proof]] = {layer: {} for layer in range(n_layers)}
    for (layer, kind), proof in known.of.items():
        of_layer[layer][KINDS[kind].word] = proof
    views = [
        LayerView(model, hooks, layer, shapes, of_layer[layer], given.get(layer), known.mixtures.get(layer))
        for layer in range(n_layers)
    ]
    return ModelStructure(
        name,
        tuple(LayerStructure({word: kind.find(kind, view) for word, kind in KINDS.items()}) for view in views),
    )


def _check_order(model: Model, latents: Latents) -> None:
    """Refuse a transcoder that would have to write before it has read."""
    passed = list(_in_order(model, [latents.hook, *latents.output_hooks]))
    late = passed.index(latents.hook) if latents.hook in passed else len(passed)
    if early := [hook for hook in latents.output_hooks if hook in passed[:late]]:
        raise ComponentError(f"latents that read '{latents.hook}' can't write at '{early[0]}', which comes before it")


def _passing(model: Model, names: list[str]) -> dict[str, Shape]:
    """The shapes of the activations at hooks that latents are for."""
    found: dict[str, Shape] = {}
    for name in names:
        found |= _in_order(model, [name])
    return found


def _in_order(model: Model, names: list[str]) -> dict[str, Shape]:
    """What passes these hooks, in the order of a pass."""
    try:
        return shapes_at(model, names)
    except ValueError as error:  # TransformerLens has hooks that must be switched on first
        raise ComponentError(f"latents at '{names[0]}': {' '.join(str(error).split())}") from error
