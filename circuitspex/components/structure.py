"""What a loaded model has that can be ablated, found by looking at it rather than by its name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from circuitspex.components.component import Component, Kind
from circuitspex.components.experts import Router
from circuitspex.components.latents import Latents, one_a_layer
from circuitspex.errors import ComponentError


@dataclass(frozen=True)
class Part:
    """The components of one kind in one layer: how many there are, and the hook where they are ablated.

    ``hook`` is None where there are none, and ``why`` then says the reason. ``point`` names the activation: two hooks
    that carry the same one have the same point.
    """

    n_units: int = 0
    hook: str | None = None
    why: str = ""
    point: str = ""


@dataclass(frozen=True)
class LayerStructure:
    """One layer: how many heads and neurons it has, and the hooks where they are ablated.

    A hook is None where the layer has no such part. ``no_neurons`` says why there are no neurons. ``others`` are the
    parts of all other kinds, ``points`` names the activations of the first three kinds where hooks have several names,
    ``latents`` are what the user gave for this layer, ``router`` chooses its experts.
    """

    n_heads: int
    d_head: int
    head_hook: str | None
    n_neurons: int
    neuron_hook: str | None
    mlp_hook: str | None
    no_neurons: str = ""
    others: Mapping[Kind, Part] = field(default_factory=dict)
    points: Mapping[Kind, str] = field(default_factory=dict)
    latents: Latents | None = None
    router: Router | None = None

    def part(self, kind: Kind) -> Part:
        """The components of that kind."""
        if kind == "head":
            part = Part(self.n_heads, self.head_hook, "has no attention heads")
        elif kind == "mlp":
            part = Part(int(self.mlp_hook is not None), self.mlp_hook, "has no MLP")
        elif kind == "neurons":
            part = Part(self.n_neurons, self.neuron_hook, self.no_neurons)
        else:
            return self.others.get(kind, Part(why=f"has no {_NAMES[kind][0]}"))
        return replace(part, point=self.points.get(kind, part.hook or ""))


# How the components of each kind are called, and the letters that they are written with.
_NAMES: dict[Kind, tuple[str, str]] = {
    "head": ("heads", "H"),
    "query": ("queries with a hook", "H"),
    "key": ("keys with a hook", "H"),
    "value": ("values with a hook", "H"),
    "attention": ("attention with a hook", "A"),
    "mlp": ("MLP", "M"),
    "neurons": ("neurons", "N"),
    "residual": ("hook for the residual stream", "R"),
    "expert": ("experts", "E"),
    "latents": ("latents", "S"),
}


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
            name, letter = _NAMES[component.kind]
            ends = f"{letter}0 to {letter}{part.n_units - 1}"
            if component.kind in ("key", "value") and part.n_units < layer.n_heads:
                share = layer.n_heads // part.n_units
                raise ComponentError(
                    f"{where} has {part.n_units} key/value heads, {ends}, each of which serves {share} of its "
                    f"{layer.n_heads} query heads"
                )
            raise ComponentError(f"{where} has {part.n_units} {name.split(' with')[0]}, {ends}")
        return component


# The hooks of a layer that are looked at, each by one of its names.
_HOOKS: dict[Kind, str] = {
    "head": "attn.hook_z",
    "query": "attn.hook_q",
    "key": "attn.hook_k",
    "value": "attn.hook_v",
    "attention": "hook_attn_out",
    "mlp": "hook_mlp_out",
    "neurons": "mlp.hook_post",
    "residual": "hook_resid_pre",
    "expert": "mlp.hook_expert_weights",
}


def model_structure(model: Any, latents: Latents | Iterable[Latents] | None = None) -> ModelStructure:
    """Look at a TransformerBridge: which hooks each layer has, and the shapes that pass through them.

    One forward pass over two tokens shows the shapes, so that layers may differ from each other, and a
    mixture-of-experts layer, whose ``hook_post`` is the block's output, is not taken for one with neurons.

    Args:
        model: the bridge.
        latents: of sparse autoencoders, at most one set a layer.

    Raises:
        ComponentError: latents at a hook that the model does not have, or of another width than what passes there.
    """
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
    wanted = [f"blocks.{layer}.{hook}" for layer in range(n_layers) for hook in _HOOKS.values()]
    shapes = _shapes(model, [hook for hook in wanted if hook in hooks], [one.hook for one in given.values()])
    layers = []
    for layer in range(n_layers):
        seen = {kind: f"blocks.{layer}.{hook}" for kind, hook in _HOOKS.items() if f"blocks.{layer}.{hook}" in hooks}
        sizes = {kind: shapes.get(id(hooks[hook]), ()) for kind, hook in seen.items()}
        layers.append(_layer(model, layer, seen, sizes, given.get(layer), shapes))
    return ModelStructure(name, tuple(layers))


def _shapes(model: Any, names: list[str], of_latents: list[str]) -> dict[int, tuple[int, ...]]:
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


def _layer(
    model: Any,
    layer: int,
    seen: Mapping[Kind, str],
    sizes: Mapping[Kind, tuple[int, ...]],
    latents: Latents | None,
    shapes: Mapping[int, tuple[int, ...]],
) -> LayerStructure:
    hooks = model.hook_dict

    def shape(kind: Kind, n_axes: int) -> tuple[int, ...] | None:
        found = sizes.get(kind, ())
        return found if len(found) == n_axes else None

    def point(hook: str) -> str:
        """What is the same for two hooks that carry the same activation: a block's output enters the next one."""
        name, after = str(hooks[hook].name), f"blocks.{layer + 1}.hook_in"
        return after if name == f"blocks.{layer}.hook_out" and after in hooks else name

    z_shape, post_shape, has_mlp = shape("head", 4), shape("neurons", 3), shape("mlp", 3) is not None
    why = ""
    if not has_mlp:
        why = "has no MLP"
    elif post_shape is None:
        why = "has an MLP whose neurons TransformerLens has no hook for"
    elif hooks[seen["neurons"]] is hooks.get(f"blocks.{layer}.mlp.hook_out"):
        why = (
            "is a mixture of experts: its neurons have no hook in TransformerLens (hook_post is the block's "
            f"output); ablate the whole block, L{layer}M, or an expert, L{layer}E0"
        )
    others: dict[Kind, Part] = {}
    for kind, n_axes in _OTHERS.items():
        found = shape(kind, n_axes)
        if found is not None:
            others[kind] = Part(found[2] if n_axes == 4 else 1, seen[kind], point=point(seen[kind]))
    router, others["expert"] = _experts(model, seen.get("expert"), dense=not why)
    others["latents"] = Part(
        why="has no latents: give a sparse autoencoder, as latents=circuitspex.Latents(hook=..., encoder=..., ...) or "
        "--latents FILE"
    )
    if latents is not None:
        passing = shapes.get(id(hooks[latents.hook]), ())
        if len(passing) < 3 or math.prod(passing[2:]) != latents.width:
            carries = f"{math.prod(passing[2:])} numbers a token" if len(passing) > 2 else "no activation of tokens"
            raise ComponentError(
                f"latents at '{latents.hook}': their encoder reads {latents.width} numbers a token, "
                f"and there the model has {carries}"
            )
        others["latents"] = Part(latents.n_latents, latents.hook, point=point(latents.hook))
    kept: dict[Kind, bool] = {"head": z_shape is not None, "mlp": has_mlp, "neurons": not why}
    return LayerStructure(
        n_heads=z_shape[2] if z_shape else 0,
        d_head=z_shape[3] if z_shape else 0,
        head_hook=seen["head"] if z_shape else None,
        n_neurons=post_shape[2] if post_shape and not why else 0,
        neuron_hook=None if why else seen["neurons"],
        mlp_hook=seen["mlp"] if has_mlp else None,
        no_neurons=why,
        others=others,
        points={kind: point(seen[kind]) for kind, has in kept.items() if has},
        latents=latents,
        router=router,
    )


# Kinds that are one activation with an axis of heads, or without.
_OTHERS: dict[Kind, int] = {"query": 4, "key": 4, "value": 4, "attention": 3, "residual": 3}


def _experts(model: Any, hook: str | None, *, dense: bool) -> tuple[Router | None, Part]:
    """The experts of a layer, where TransformerLens hooks what its router chooses and the router can be asked again."""
    if hook is None and dense:
        return None, Part(why="has no experts: its MLP is dense")
    if hook is None:
        return None, Part(why="has no experts whose router's choice TransformerLens has a hook for")
    router = Router.of(model, hook)
    if isinstance(router, str):
        return None, Part(why=f"has experts whose router can't be masked: {router}")
    return router, Part(router.n_experts, hook, point=str(model.hook_dict[hook].name))
