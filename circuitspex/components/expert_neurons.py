"""The neurons of each expert of a mixture: what the expert's output projection reads, times the weight of its choice.

Experts are kept as stacks of weights, and their neurons pass no hook. So the model's own experts are run for one expert
at a time, and the product with a slice of one of the stacks that comes last is the output projection: what it is given
are the neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Place = int | str
"""Of an argument: its number, or its name."""
_ROUNDING = 64
"""How many times the model's own rounding sums may differ that were taken in another order."""


@dataclass(frozen=True)
class ExpertNeurons:
    """The Hugging Face module of a layer's experts, and where its arguments are.

    ``path`` is its name within the layer; ``width`` how many neurons each of the ``n_experts`` experts has.
    """

    path: str
    module: Any
    n_experts: int
    width: int
    x: Place
    indices: Place
    weights: Place

    @classmethod
    def seen(
        cls, path: str, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any, n_experts: int
    ) -> ExpertNeurons | str | None:
        """The experts that a module is, if it is given tokens with their experts and weights; a reason; or None.

        It stands if the experts, run one after the other and weighed, give what the module gave; and if each gives what
        its output projection makes of its neurons, but for a bias.
        """
        import torch

        places = _places(args, kwargs)
        if places is None or not isinstance(output, torch.Tensor):
            return None
        whole = cls(path, module, n_experts, 0, *places)
        x, indices, weights = whole.given(args, kwargs)
        total = torch.zeros_like(output, dtype=torch.float64)
        eps = _ROUNDING * torch.finfo(output.dtype).eps
        widths = set()
        try:
            with torch.no_grad():
                for expert in range(n_experts):
                    neurons, project, given = whole.run(expert, x)
                    widths.add(neurons.shape[-1])
                    rest = (given - project(neurons)).double()
                    if float((rest - rest[:1]).abs().max()) > eps * float(given.abs().max()):
                        return "what an expert gives is not a product with its neurons"
                    weight = (weights * (indices == expert)).sum(-1, keepdim=True)
                    total += (weight * given).double().reshape(total.shape)
        except Exception as error:  # whatever an unknown architecture raises is a reason
            return f"a trial of them failed ({' '.join(str(error).split())[:120]})"
        if float((total - output.double()).abs().max()) > 4 * eps * float(output.abs().max()):
            return "its experts, run one by one, don't give what they give together"
        if len(widths) != 1:
            return "its experts have different numbers of neurons"
        return cls(path, module, n_experts, widths.pop(), *places)

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of each token: what its experts read ``(tokens, d_model)``, their indices and weights ``(tokens, K)``."""
        x, indices, weights = (
            args[place] if isinstance(place, int) else kwargs[place] for place in (self.x, self.indices, self.weights)
        )
        return x.reshape(-1, x.shape[-1]), indices.long(), weights

    def run(
        self, expert: int, x: torch.Tensor
    ) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
        """An expert on tokens ``(tokens, d_model)``: its neurons ``(tokens, width)``, its projection, what it gives.

        Raises:
            RuntimeError: no product with a slice of the experts' weights was seen.
        """
        import torch

        one = torch.full((len(x), 1), expert, dtype=torch.long, device=x.device)
        given = {self.x: x, self.indices: one, self.weights: torch.ones_like(one, dtype=x.dtype)}
        numbered = sorted(place for place in given if isinstance(place, int))
        args = [given[place] for place in numbered]
        named = {place: value for place, value in given.items() if isinstance(place, str)}
        with _products_of(self.module) as seen:
            output = _one_by_one(self.module)(*args, **named)
        if seen.last is None:
            raise RuntimeError("no product with an expert's weights was seen")
        function, neurons, weight = seen.last
        return neurons, lambda values: function(values, weight), output.reshape(len(x), -1)


def _places(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Place, Place, Place] | None:
    """Where the tokens, the indices and the weights are among the arguments; None if there are others."""
    import torch

    given: dict[Place, Any] = dict(enumerate(args))
    given.update(kwargs)
    tensors = {place: value for place, value in given.items() if isinstance(value, torch.Tensor)}
    whole = [place for place, value in tensors.items() if not value.is_floating_point() and value.ndim == 2]
    if len(tensors) != 3 or len(whole) != 1 or len(given) != 3:
        return None
    weights = [p for p, v in tensors.items() if v.is_floating_point() and v.shape == tensors[whole[0]].shape]
    tokens = [place for place in tensors if place not in weights and place != whole[0]]
    return (tokens[0], whole[0], weights[0]) if len(weights) == len(tokens) == 1 else None


def _one_by_one(module: Any) -> Callable[..., Any]:
    """The module's own forward, without the faster ways that transformers puts in its place."""
    forward = getattr(type(module).forward, "__wrapped__", type(module).forward)
    return lambda *args, **kwargs: forward(module, *args, **kwargs)


def _products_of(module: Any) -> Any:
    """Within the block, the last product of something with a slice of the module's stacks of weights is kept."""
    import torch
    from torch.overrides import TorchFunctionMode

    products = (
        torch.nn.functional.linear,
        torch.matmul,
        torch.mm,
        torch.Tensor.matmul,
        torch.Tensor.__matmul__,
        torch.Tensor.mm,
    )
    stacks = {p.untyped_storage().data_ptr() for p in module.parameters(recurse=False) if p.ndim == 3}

    class Seen(TorchFunctionMode):
        last: Any = None

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in products and len(args) > 1 and args[1].untyped_storage().data_ptr() in stacks:
                self.last = func, args[0], args[1]
            return func(*args, **(kwargs or {}))

    return Seen()
