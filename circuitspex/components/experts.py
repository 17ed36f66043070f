"""The router of a mixture of experts, asked again with some experts out of its choice.

A router gives every expert a logit, and chooses from the logits which experts a token goes to and with which weights.
How it does (softmax or sigmoid, before or after the choice, in groups or not, with a bias of the choice or not) differs
between models, so the model's own router does it: only its logits are changed, in the one product that makes them, and
the scores of its choice where it adds a bias to these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from circuitspex.errors import ComponentError

if TYPE_CHECKING:
    import torch

_TINY = 1e-30
"""What a gate of 0 counts as: too little to change any sum, and with a logarithm that has a gradient."""
_OUT = -1e9
"""What the score of a choice gets for a gate of 0."""
_NOTHING = 1e-10
"""A weight below this is none: what a gate of 0 leaves of an expert that a router takes for want of others."""


@dataclass(frozen=True)
class Router:
    """A router: the Hugging Face module, how many experts it chooses from, and where what it returns is in its tuple.

    ``path`` is its name within the layer.
    """

    path: str
    module: Any
    n_experts: int
    weights: int
    indices: int

    @classmethod
    def seen(cls, path: str, module: Any, returned: Any, n_tokens: int) -> Router | None:
        """The router that a module is if it returns, for each token, which experts it chose and their weights."""
        import torch

        if not isinstance(returned, tuple) or len(returned) < 3:
            return None
        of_tokens = {
            place: part
            for place, part in enumerate(returned)
            if isinstance(part, torch.Tensor) and part.ndim == 2 and len(part) == n_tokens
        }
        chosen = [place for place, part in of_tokens.items() if not part.is_floating_point()]
        if len(chosen) != 1:
            return None
        floats = [place for place, part in of_tokens.items() if part.is_floating_point()]
        weights = [place for place in floats if of_tokens[place].shape == of_tokens[chosen[0]].shape]
        if len(floats) < 2 or not weights:
            return None
        n_experts = max(of_tokens[place].shape[1] for place in floats)
        return cls(path, module, n_experts, weights[-1], chosen[0])

    def refusal(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """None if the router can be asked again without some experts, else why not; tried on what it was given.

        With every gate 1 it gives what it gives, and without one expert after the other it leaves that one out.
        """
        import torch

        n_tokens = _given(args, kwargs).reshape(-1, _given(args, kwargs).shape[-1]).shape[0]
        gates = torch.ones((n_tokens, self.n_experts), device=_given(args, kwargs).device)
        try:
            with torch.no_grad():
                before = self.module.forward(*args, **kwargs)
                weights, indices = self.choose(args, kwargs, gates)
                if not torch.equal(indices, before[self.indices]) or not torch.allclose(
                    weights.double(), before[self.weights].double(), rtol=1e-3, atol=1e-6
                ):
                    return "asked again, it does not give what it gave"
                for expert in range(self.n_experts if indices.shape[-1] < self.n_experts else 0):
                    without = gates.clone()
                    without[:, expert] = 0
                    self.choose(args, kwargs, without)
        except ComponentError as error:
            return str(error)
        except Exception as error:  # whatever an unknown architecture raises is a reason
            return f"a trial of it failed ({' '.join(str(error).split())[:120]})"
        return None

    def choose(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], gates: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The weights and indices ``(tokens, K)`` that the router gives, with ``log(gate)`` added to its logits.

        Where it adds a bias to the scores that it chooses by, ``log(gate)`` is added to these too: a bias alone could
        have an expert chosen that is off.

        Args:
            args, kwargs: what the router is given.
            gates: of each expert at each token, ``(tokens, experts)``; 1 = kept, 0 = out of the choice.

        Where a token has fewer experts left than the router chooses, the others weigh nothing; where it has none left,
        all weigh nothing: the weights are multiplied by ``1 - prod(1 - gates)``, which is 1 where any gate is 1.

        Raises:
            RuntimeError: the router makes no logits by a product with weights.
            ComponentError: it goes on giving weight to an expert with a gate of 0, at one of these tokens.
        """
        import torch

        exact = gates.to(torch.promote_types(gates.dtype, torch.float32))
        with _masked(exact, self.n_experts) as masked:
            found = self.module.forward(*args, **kwargs)
        if not masked.done:
            raise RuntimeError("it has no product that gives each expert a logit")
        weights, indices = found[self.weights], found[self.indices]
        some = 1 - (1 - exact).prod(-1, keepdim=True)
        weights = weights * some.to(weights.dtype)
        kept_in = (exact.detach().gather(-1, indices.long()) == 0) & (weights.detach().abs() > _NOTHING)
        if bool(kept_in.any()):
            expert = int(indices[kept_in][0])
            n = int(kept_in.any(-1).sum())
            raise ComponentError(f"it goes on choosing expert {expert}, which is off, at {n} of {len(indices)} tokens")
        return weights, indices


def _given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    x: torch.Tensor = args[0] if args else next(iter(kwargs.values()))
    return x


def _masked(gates: torch.Tensor, n_experts: int) -> Any:
    """Within the block, ``log(gates)`` is added to the first product that has a column for each expert.

    And to the sum of scores, made from that product, and one number for each expert: the bias of a choice.
    """
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
    sums = (
        torch.add,
        torch.Tensor.add,
        torch.Tensor.__add__,
        torch.Tensor.__radd__,
        torch.Tensor.add_,
        torch.Tensor.__iadd__,
    )
    offset = (gates + _TINY).log()
    out_of_choice = torch.where(gates == 0, _OUT, offset).detach()

    class Masked(TorchFunctionMode):
        done = False
        logits: Any = None

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if not self.done and func in products and result.shape[-1] == n_experts:
                self.done = True
                # In the offset's precision: half precision would lose small gates, or their slopes.
                result = result.to(torch.promote_types(result.dtype, offset.dtype)) + offset.reshape(result.shape)
                self.logits = result
            elif self.done and func in sums and self._is_bias(result, args):
                result = result + out_of_choice.reshape(result.shape).to(result.dtype)
            return result

        def _is_bias(self, result: Any, args: Any) -> bool:
            # A bias of the logits themselves is part of them, and no bias of a choice.
            terms = [term for term in args[:2] if isinstance(term, torch.Tensor)]
            if len(terms) < 2 or result.shape[-1] != n_experts or any(term is self.logits for term in terms):
                return False
            return result.numel() == gates.numel() and any(term.numel() == n_experts for term in terms)

    return Masked()
