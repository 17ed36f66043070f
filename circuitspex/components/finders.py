"""How the components of each kind are found in a layer: by looking at the model, never by its name."""

from __future__ import annotations

import math

from circuitspex.components.experts import Router
from circuitspex.components.kinds import KINDS, Kind
from circuitspex.components.layer_view import LayerView, Part
from circuitspex.errors import ComponentError


def activation(kind: Kind, view: LayerView) -> Part:
    """Units of one activation, or the activation as one unit."""
    shape, name = view.shape(kind.hook, kind.axes), view.name(kind.hook)
    if shape is None or name is None:
        return Part(why=f"has {kind.lack}")
    n_units = 1 if kind.form == "whole" else shape[2]
    return Part(n_units, name, point=view.point(name), width=math.prod(shape[2:]) // n_units)


def neurons(kind: Kind, view: LayerView) -> Part:
    """Neurons of a dense MLP; a mixture of experts has the block's output at their hook."""
    if view.shape(KINDS["mlp"].hook, 3) is None:
        return Part(why="has no MLP")
    if view.shape(kind.hook, 3) is None:
        return Part(why="has an MLP whose neurons TransformerLens has no hook for")
    if view.hooks[view.name(kind.hook) or ""] is view.hooks.get(f"blocks.{view.layer}.mlp.hook_out"):
        return Part(
            why="is a mixture of experts: its neurons have no hook in TransformerLens (hook_post is the block's "
            f"output); ablate the whole block, L{view.layer}M, or an expert, L{view.layer}E0"
        )
    return activation(kind, view)


def experts(kind: Kind, view: LayerView) -> Part:
    """Experts, where TransformerLens hooks what their router chooses and the router can be asked again."""
    hook = view.name(kind.hook)
    if hook is None:
        dense = neurons(KINDS["neurons"], view).hook is not None
        return Part(
            why="has no experts: its MLP is dense"
            if dense
            else "has no experts whose router's choice TransformerLens has a hook for"
        )
    router = Router.of(view.model, hook)
    if isinstance(router, str):
        return Part(why=f"has experts whose router can't be masked: {router}")
    return Part(router.n_experts, hook, point=str(view.hooks[hook].name), source=router)


def latents(kind: Kind, view: LayerView) -> Part:
    """The latents that were given for this layer.

    Raises:
        ComponentError: their encoder reads another width than what passes their hook.
    """
    given = view.latents
    if given is None:
        return Part(
            why="has no latents: give a sparse autoencoder, as latents=circuitspex.Latents(hook=..., encoder=..., ...) "
            "or --latents FILE"
        )
    passing = view.passed(given.hook)
    if len(passing) < 3 or math.prod(passing[2:]) != given.width:
        carries = f"{math.prod(passing[2:])} numbers a token" if len(passing) > 2 else "no activation of tokens"
        raise ComponentError(
            f"latents at '{given.hook}': their encoder reads {given.width} numbers a token, "
            f"and there the model has {carries}"
        )
    return Part(given.n_latents, given.hook, point=view.point(given.hook), source=given)
