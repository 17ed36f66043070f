"""The router of a mixture of experts, asked again with some experts out of its choice.

A router gives every expert a logit, and chooses from the logits which experts a token goes to and with which weights.
How it does (softmax or sigmoid, before or after the choice, in groups or not) differs between models, so the model's
own router does it: only its logits are changed, in the one product that makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from circuitspex.models.protocol import Model

if TYPE_CHECKING:
    import torch

_TINY = 1e-30
"""What a gate of 0 counts as: too little to change any sum, and with a logarithm that has a gradient."""


@dataclass(frozen=True)
class Router:
    """The router behind a hook that carries its weights.

    ``path`` is where it is in the bridge, ``inner`` the model's own module, ``n_experts`` how many it chooses from.
    ``weights`` and ``indices`` are the places of both in what it returns.
    """

    path: str
    inner: Any
    n_experts: int
    weights: int
    indices: int

    @classmethod
    def of(cls, model: Model, hook: str) -> Router | str:
        """The router whose weights pass through ``hook``, or why its choice can't be masked.

        That it leaves out what is masked is tried, on random tokens, each without another expert; and that the block of
        experts goes by what it returns.
        """
        import torch

        path = str(model.hook_dict[hook].name).removesuffix(".hook_expert_weights")
        bridge = model.get_submodule(path)
        places = [getattr(bridge, f"{what}_index", None) for what in ("logits", "weights", "indices")]
        if any(place is None for place in places):
            return "TransformerLens does not hook its weights and its choice"
        logits, weights, indices = (int(place) for place in places if place is not None)
        inner = bridge.original_component
        parameter = next(inner.parameters())
        generator = torch.Generator().manual_seed(0)
        sample = torch.randn((4, int(model.cfg.d_model)), generator=generator).to(parameter)
        try:
            with torch.no_grad():
                n_experts = int(inner(sample)[logits].shape[-1])
                router = cls(path, inner, n_experts, weights, indices)
                sample = torch.randn((n_experts, int(model.cfg.d_model)), generator=generator).to(parameter)
                gates = 1 - torch.eye(n_experts, device=parameter.device, dtype=parameter.dtype)
                found, chosen = router.choose(sample, gates)
                heard = _is_heard(model, path, sample, weights)
        except Exception as error:  # whatever an unknown architecture raises is a reason
            return f"a trial of it failed ({' '.join(str(error).split())[:120]})"
        if not heard:
            return "what it returns is not what its experts are given"
        own = torch.arange(n_experts, device=chosen.device)[:, None]
        if chosen.shape[-1] < n_experts and bool((chosen == own).any()):
            return "it goes on choosing an expert whose logit is as good as minus infinity"
        if found.shape != chosen.shape or float((found * (chosen == own)).abs().max()) > 1e-20:
            return "its weights don't follow from its logits"
        return router

    def choose(self, x: torch.Tensor, gates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The weights and indices ``(tokens, K)`` that the router gives, with ``log(gate)`` added to its logits.

        Args:
            x: what the router reads, ``(tokens, d_model)``.
            gates: of each expert at each token, ``(tokens, experts)``; 1 = kept, 0 = out of the choice.

        Where a token has fewer experts left than the router chooses, the others weigh nothing; where it has none left,
        all weigh nothing: the weights are multiplied by ``1 - prod(1 - gates)``, which is 1 where any gate is 1.

        Raises:
            RuntimeError: the router makes no logits by a product with weights.
        """
        import torch

        exact = gates.to(torch.promote_types(gates.dtype, torch.float32))
        with _added_to_logits((exact + _TINY).log(), self.n_experts) as added:
            found = self.inner(x)
        if not added.done:
            raise RuntimeError("it has no product that gives each expert a logit")
        weights, indices = found[self.weights], found[self.indices]
        some = 1 - (1 - exact).prod(-1, keepdim=True)
        return weights * some.to(weights.dtype), indices


def _is_heard(model: Model, path: str, sample: torch.Tensor, weights: int) -> bool:
    """Whether the block around a router gives another output when the router's weights are all zero."""
    import torch

    block, router = model.get_submodule(path.rpartition(".")[0]), model.get_submodule(path)

    def output() -> torch.Tensor:
        found = block(sample[None])
        first: torch.Tensor = found[0] if isinstance(found, tuple) else found
        return first

    def silenced(module: Any, inputs: Any, returned: tuple[Any, ...]) -> tuple[Any, ...]:
        parts = list(returned)
        parts[weights] = torch.zeros_like(parts[weights])
        return tuple(parts)

    before = output()
    handle = router.register_forward_hook(silenced)
    try:
        return not torch.equal(output(), before)
    finally:
        handle.remove()


def _added_to_logits(offset: torch.Tensor, n_experts: int) -> Any:
    """Within the block, ``offset`` is added to the first product that has a column for each expert."""
    import torch
    from torch.overrides import TorchFunctionMode

    products = (
        torch.nn.functional.linear,
        torch.matmul,
        torch.mm,
        torch.addmm,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.Tensor.mm,
    )

    class Added(TorchFunctionMode):
        done = False

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if not self.done and func in products and result.shape[-1] == n_experts:
                self.done = True
                # In the offset's precision: half precision would lose small gates, or their slopes.
                return result.to(torch.promote_types(result.dtype, offset.dtype)) + offset.reshape(result.shape)
            return result

    return Added()
