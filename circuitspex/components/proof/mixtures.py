"""A model's mixtures of experts: whether routers can be asked again, and whether experts' neurons can be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from circuitspex.components.expert_neurons import ExpertNeurons
from circuitspex.components.experts import Router
from circuitspex.components.proof.trial import plain_modules, probe_tokens
from circuitspex.models.protocol import Model

if TYPE_CHECKING:
    import torch

_ROWS, _LENGTH = 2, 8


@dataclass(frozen=True)
class Mixture:
    """Of one layer: its router and the neurons of its experts, or why they can't be masked."""

    router: Router | str
    neurons: ExpertNeurons | str = "each expert's neurons can't be seen"


def mixtures(model: Model) -> dict[int, Mixture]:
    """By layer, what there is of experts; layers without experts are left out.

    A router is seen by what it returns, with plain PyTorch hooks. It stands if it can be asked again without experts
    (``Router.refusal``), and if what it returns reaches the layer's output.
    """
    import torch

    unseen = {layer: why for layer, block in enumerate(model.blocks) if (why := _unseen(block)) is not None}
    if not unseen:
        return {}
    seen: dict[int, tuple[Router, tuple[Any, ...], dict[str, Any]]] = {}
    of_experts: dict[int, ExpertNeurons | str] = {}
    handles = []
    for layer, block in enumerate(model.blocks):
        for path, module in _named(block):

            def look(module: Any, args: Any, kwargs: Any, returned: Any, layer: int = layer, path: str = path) -> None:
                router = Router.seen(path, module, returned, _ROWS * _LENGTH)
                if router is not None:
                    seen.setdefault(layer, (router, args, kwargs))
                elif layer in seen:
                    neurons = ExpertNeurons.seen(path, module, args, kwargs, returned, seen[layer][0].n_experts)
                    if neurons is not None:
                        of_experts.setdefault(layer, neurons)

            handles.append(module.register_forward_hook(look, with_kwargs=True))
    tokens = probe_tokens(model, _ROWS * _LENGTH).reshape(_ROWS, _LENGTH)
    try:
        with torch.no_grad():
            before, entries = _outputs(model, tokens)
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        return {layer: Mixture(why) for layer, why in unseen.items()}
    handles = [router.module.register_forward_hook(_silence(router)) for router, _, _ in seen.values()]
    try:
        with torch.no_grad():
            after, _ = _outputs(model, tokens, entries)
    finally:
        for handle in handles:
            handle.remove()
    found: dict[int, Mixture] = {}
    for layer in range(len(model.blocks)):
        if layer in seen:
            router, args, kwargs = seen[layer]
            heard = layer in before and not torch.equal(before[layer], after[layer])
            why = router.refusal(args, kwargs) if heard else "what it returns is not what its experts are given"
            own = {"neurons": of_experts[layer]} if layer in of_experts and heard else {}
            found[layer] = Mixture(router if why is None else why, **own)
        elif layer in unseen:
            found[layer] = Mixture(unseen[layer])
    return found


def _named(block: Any) -> list[tuple[str, Any]]:
    """The Hugging Face modules of a layer by their names, without the parts that TransformerLens adds to these."""
    layer = getattr(block, "original_component", None)
    if layer is None:
        return []
    own = {id(module) for module in plain_modules(layer)}
    return [
        (name.replace("._original_component", "").replace("_original_component", ""), module)
        for name, module in layer.named_modules()
        if id(module) in own
    ]


def _silence(router: Router) -> Any:
    def silence(module: Any, args: Any, returned: tuple[Any, ...]) -> tuple[Any, ...]:
        parts = list(returned)
        parts[router.weights] = parts[router.weights] * 0
        return tuple(parts)

    return silence


Streams = dict[int, Any]
"""Residual streams by layer."""


def _outputs(model: Model, tokens: torch.Tensor, entries: Streams | None = None) -> tuple[Streams, Streams]:
    """What each layer gives and what it is given, by layer; ``entries`` are given to the layers instead, if any."""
    import torch

    given: Streams = {}
    left: Streams = {}

    def enter(layer: int) -> Any:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            given[layer] = args[0] if args else kwargs.get("hidden_states")
            if entries is None or not isinstance(entries.get(layer), torch.Tensor):
                return None
            if args:
                return (entries[layer], *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": entries[layer]}

        return hook

    def leave(layer: int) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            left[layer] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = []
    for layer, block in enumerate(model.blocks):
        own = getattr(block, "original_component", None)
        if own is not None:
            handles.append(own.register_forward_pre_hook(enter(layer), with_kwargs=True))
            handles.append(own.register_forward_hook(leave(layer)))
    try:
        model(tokens, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return left, given


def _unseen(block: Any) -> str | None:
    """Why a layer that has experts shows no router; None where it has none."""
    import torch

    for name, module in _named(block):
        stacks = not isinstance(module, torch.nn.modules.conv._ConvNd) and any(
            parameter.ndim == 3 for parameter in module.parameters(recurse=False)
        )
        if name.rpartition(".")[2] == "experts" or stacks:
            return "it does not return which experts it chose, and their weights"
    return None
