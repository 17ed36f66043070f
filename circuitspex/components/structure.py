"""What a loaded model has that can be ablated, found by looking at it rather than by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from circuitspex.components.component import Component
from circuitspex.errors import ComponentError


@dataclass(frozen=True)
class LayerStructure:
    """One layer: how many heads and neurons it has, and the hooks where they are ablated.

    A hook is None where the layer has no such part. ``no_neurons`` says why there are no neurons.
    """

    n_heads: int
    d_head: int
    head_hook: str | None
    n_neurons: int
    neuron_hook: str | None
    mlp_hook: str | None
    no_neurons: str = ""


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
        if component.kind == "head":
            if component.stop > layer.n_heads:
                has = f"{layer.n_heads} heads, H0 to H{layer.n_heads - 1}" if layer.n_heads else "no attention heads"
                raise ComponentError(f"{component}: layer {component.layer} of {self.name} has {has}")
        elif component.kind == "mlp":
            if layer.mlp_hook is None:
                raise ComponentError(f"{component}: layer {component.layer} of {self.name} has no MLP")
        elif layer.neuron_hook is None:
            raise ComponentError(f"{component}: layer {component.layer} of {self.name} {layer.no_neurons}")
        elif component.stop > layer.n_neurons:
            raise ComponentError(
                f"{component}: layer {component.layer} of {self.name} has {layer.n_neurons} neurons, "
                f"N0 to N{layer.n_neurons - 1}"
            )
        return component


def model_structure(model: Any) -> ModelStructure:
    """Look at a TransformerBridge: which hooks each layer has, and the shapes that pass through them.

    One forward pass over two tokens shows the shapes, so that layers may differ from each other, and a
    mixture-of-experts layer, whose ``hook_post`` is the block's output, is not taken for one with neurons.
    """
    import torch

    hooks = model.hook_dict
    shapes: dict[int, tuple[int, ...]] = {}  # by hook point: one hook can have several names

    def look(activation: torch.Tensor, hook: Any) -> None:
        if isinstance(activation, torch.Tensor):
            shapes[id(hook)] = tuple(activation.shape)

    wanted = ("attn.hook_z", "mlp.hook_post", "hook_mlp_out")
    n_layers = int(model.cfg.n_layers)
    names = [
        f"blocks.{layer}.{hook}" for layer in range(n_layers) for hook in wanted if f"blocks.{layer}.{hook}" in hooks
    ]
    with torch.no_grad():
        tokens = torch.zeros((1, 2), dtype=torch.long, device=next(model.parameters()).device)
        model.run_with_hooks(tokens, fwd_hooks=[(name, look) for name in names], use_cache=False)

    def shape(name: str) -> tuple[int, ...]:
        return shapes.get(id(hooks[name]), ()) if name in hooks else ()

    layers = []
    for layer in range(n_layers):
        z, post, out = (f"blocks.{layer}.{hook}" for hook in wanted)
        z_shape, post_shape = shape(z), shape(post)
        has_heads = len(z_shape) == 4
        has_mlp = len(shape(out)) == 3
        why = ""
        if not has_mlp:
            why = "has no MLP"
        elif hooks.get(post) is None or len(post_shape) != 3:
            why = "has an MLP whose neurons TransformerLens has no hook for"
        elif hooks[post] is hooks.get(f"blocks.{layer}.mlp.hook_out"):
            why = (
                "is a mixture of experts: its neurons have no hook in TransformerLens (hook_post is the block's "
                f"output); ablate the whole block, L{layer}M"
            )
        layers.append(
            LayerStructure(
                n_heads=z_shape[2] if has_heads else 0,
                d_head=z_shape[3] if has_heads else 0,
                head_hook=z if has_heads else None,
                n_neurons=0 if why else post_shape[2],
                neuron_hook=None if why else post,
                mlp_hook=out if has_mlp else None,
                no_neurons=why,
            )
        )
    return ModelStructure(str(getattr(model.cfg, "model_name", None) or "this model"), tuple(layers))
