"""How the components of each kind are found in a layer: by looking at the model, never by its name."""

from __future__ import annotations

import math

from circuitspex.components.kinds import KINDS, Kind
from circuitspex.components.latents import Latents
from circuitspex.components.layer_view import LayerView, Part
from circuitspex.errors import ComponentError


def activation(kind: Kind, view: LayerView) -> Part:
    """Units of one activation, or the activation as one unit, of kinds of which nothing is to be proved."""
    shape, name = view.shape(kind.hook, kind.axes), view.name(kind.hook)
    if shape is None or name is None:
        return Part(why=f"has {kind.lack}")
    if view.positions(name) != 1:
        return Part(why=_refusal(kind, f"positions are not the second axis at '{name}'"), refused=True)
    n_units = 1 if kind.form == "whole" else shape[2]
    return Part(n_units, name, point=view.point(name), width=math.prod(shape[2:]) // n_units)


def proved(kind: Kind, view: LayerView) -> Part:
    """What was proved on this model (``components.proof``), or why it could not be."""
    proof = view.proofs.get(kind.word)
    if proof is None:
        there = view.name(kind.hook)
        if there is None or there not in view.shapes:
            return Part(why=f"has {kind.lack}")
        return Part(
            why=_refusal(kind, f"'{there}' carries no {kind.plural} of a number that the model states"), refused=True
        )
    if proof.why is not None:
        return Part(why=_refusal(kind, proof.why), refused=True)
    return Part(proof.n_units, proof.hook, point=view.point(proof.hook), width=proof.width, layout=proof.layout)


def _refusal(kind: Kind, why: str) -> str:
    article = "an" if kind.singular[0] in "aeiouM" else "a"  # an MLP
    what = f"{article} {kind.singular}" if kind.form == "whole" else kind.plural
    return f"has {what} that can't be ablated rightly: {why}"


def neurons(kind: Kind, view: LayerView) -> Part:
    """Neurons of a dense MLP; a mixture of experts has the block's output at their hook."""
    if view.shape(KINDS["mlp"].hook, 3) is None:
        return Part(why="has no MLP")
    if view.shape(kind.hook, 3) is None:
        return Part(why="has an MLP whose neurons TransformerLens has no hook for")
    if view.hooks[view.name(kind.hook) or ""] is view.hooks.get(f"blocks.{view.layer}.mlp.hook_out"):
        inner = view.mixture is not None and not isinstance(view.mixture.neurons, str)
        single = f", or neurons of an expert, L{view.layer}E0N0" if inner else ""
        return Part(
            why="is a mixture of experts: its neurons have no hook in TransformerLens (hook_post is the block's "
            f"output); ablate the whole block, L{view.layer}M, or an expert, L{view.layer}E0{single}"
        )
    return proved(kind, view)


def experts(kind: Kind, view: LayerView) -> Part:
    """Experts, where what their router chooses can be seen, and the router can be asked again."""
    if view.mixture is None:
        return Part(why=_no_experts(view))
    router = view.mixture.router
    if isinstance(router, str):
        return Part(why=f"has experts whose router can't be masked: {router}", refused=True)
    place = f"blocks.{view.layer}.{router.path}"
    return Part(router.n_experts, place, point=place, source=router)


def expert_neurons(kind: Kind, view: LayerView) -> Part:
    """Neurons of each expert, where the experts' weights allow to see them."""
    if view.mixture is None:
        return Part(why=_no_experts(view))
    found = view.mixture.neurons
    if isinstance(found, str):
        return Part(why=f"has experts whose neurons can't be ablated: {found}", refused=True)
    place = f"blocks.{view.layer}.{found.path}"
    return Part(found.width, place, point=place, source=found, n_experts=found.n_experts)


def _no_experts(view: LayerView) -> str:
    dense = neurons(KINDS["neurons"], view).hook is not None
    return "has no experts: its MLP is dense" if dense else "has no experts with a router that can be seen"


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
    for hook, width, does in _ends(given):
        passing = view.passed(hook) if view.positions(hook) == 1 else ()
        if len(passing) < 3 or math.prod(passing[2:]) != width:
            carries = f"{math.prod(passing[2:])} numbers a token" if len(passing) > 2 else "no activation of tokens"
            raise ComponentError(
                f"latents at '{hook}': their {does} {width} numbers a token, and there the model has {carries}"
            )
    written = () if given.output_hook is None else tuple(map(view.point, given.output_hooks))
    return Part(given.n_latents, given.hook, point=view.point(given.hook), source=given, written=written)


def _ends(given: Latents) -> list[tuple[str, int, str]]:
    """Each hook of these latents, how many numbers a token they read or write there, and the words for it."""
    read = (given.hook, given.width, "encoder reads")
    if given.output_hook is None:
        return [read]
    written = zip(given.output_hooks, given.decoders(), strict=True)
    return [read, *((hook, int(decoder.shape[1]), "decoder writes") for hook, decoder in written)]
