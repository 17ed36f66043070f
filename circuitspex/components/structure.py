"""What a loaded model has that can be ablated, found by looking at it rather than by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from circuitspex.components.component import Component
from circuitspex.components.kinds import KINDS
from circuitspex.components.latents import Latents, one_a_layer
from circuitspex.components.layer_view import LayerView, Part
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
        if component.stop > part.n_units:
            about = component.about
            ends = f"{about.letter}0 to {about.letter}{part.n_units - 1}"
            if about.letter == KINDS["head"].letter and part.n_units < layer.n_heads:
                raise ComponentError(
                    f"{where} has {part.n_units} key/value heads, {ends}, each of which serves "
                    f"{layer.n_heads // part.n_units} of its {layer.n_heads} query heads"
                )
            raise ComponentError(f"{where} has {part.n_units} {about.plural}, {ends}")
        return component


def model_structure(model: Model, latents: Latents | Iterable[Latents] | None = None) -> ModelStructure:
    """Look at a TransformerBridge: which hooks each layer has, and the shapes that pass through them.

    One forward pass over two tokens shows the shapes, so that layers may differ from each other, and a
    mixture-of-experts layer, whose ``hook_post`` is the block's output, is not taken for one with neurons.

    Args:
        model: the bridge.
        latents: of sparse autoencoders, at most one set a layer.

    Raises:
        ComponentError: latents at a hook that the model does not have, or of another width than what passes there.
    """
    model = bridged(model)
    given = one_a_layer(latents)
    hooks = model.hook_dict
    n_layers = int(model.cfg.n_layers)
    name = str(getattr(model.cfg, "model_name", None) or "this model")
    for one in given.values():
        if one.layer >= n_layers:
            raise ComponentError(f"latents at '{one.hook}': {name} has {n_layers} layers, 0 to {n_layers - 1}")
        if one.hook not in hooks:
            raise ComponentError(
                f"latents at '{one.hook}': {name} has no such hook; it has 'blocks.{one.layer}.hook_resid_pre', for one"
            )
    wanted = [f"blocks.{layer}.{kind.hook}" for layer in range(n_layers) for kind in KINDS.values() if kind.hook]
    shapes = _shapes(model, [hook for hook in wanted if hook in hooks], [one.hook for one in given.values()])
    views = [LayerView(model, hooks, layer, shapes, given.get(layer)) for layer in range(n_layers)]
    return ModelStructure(
        name,
        tuple(LayerStructure({word: kind.find(kind, view) for word, kind in KINDS.items()}) for view in views),
    )


def _shapes(model: Model, names: list[str], of_latents: list[str]) -> dict[int, tuple[int, ...]]:
    """The shapes of the activations at these hooks, by hook point: one hook can have several names."""
    import torch

    hooks = model.hook_dict
    shapes: dict[int, tuple[int, ...]] = {}

    def look(activation: torch.Tensor, hook: Any) -> None:
        if isinstance(activation, torch.Tensor):
            shapes[id(hook)] = tuple(activation.shape)

    with torch.no_grad():
        tokens = torch.zeros((1, 2), dtype=torch.long, device=next(model.parameters()).device)
        model.run_with_hooks(tokens, fwd_hooks=[(name, look) for name in names], use_cache=False)
        for name in of_latents:
            if id(hooks[name]) not in shapes:
                try:
                    model.run_with_hooks(tokens, fwd_hooks=[(name, look)], use_cache=False)
                except ValueError as error:  # TransformerLens has hooks that must be switched on first
                    raise ComponentError(f"latents at '{name}': {' '.join(str(error).split())}") from error
    return shapes
