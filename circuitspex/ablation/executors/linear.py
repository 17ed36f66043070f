"""Products with weights that don't change: on x86 processors in the layout that oneDNN computes fastest with.

Beside the default product of PyTorch's CPU builds this took 1.1 to 1.5 times less time in float32 and 1.0 to 1.2 times
less in bfloat16, for 224 to 896 rows and the shapes of SmolLM2-135M on an AVX-512 processor. The choice
follows from the processor and never from a timing, so that the same machine gives the same numbers.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float

Inputs = Float[torch.Tensor, "*rows inputs"]
Outputs = Float[torch.Tensor, "*rows outputs"]
Weight = Float[torch.Tensor, "outputs inputs"]
Bias = Float[torch.Tensor, " outputs"]


class Linear:
    """``x -> x @ weight.T + bias``, in the dtype of the weight; weight ``[out, in]``, frozen.

    Gradients flow to ``x`` alone.
    """

    def __init__(self, weight: Weight, bias: Bias | None) -> None:
        self.weight = weight
        self.bias = bias
        self._forward: torch.Tensor | None = None
        self._backward: torch.Tensor | None = None

    @property
    def n_outputs(self) -> int:
        """How many numbers come out."""
        return int(self.weight.shape[0])

    def to(self, dtype: torch.dtype) -> Linear:
        """The same map in another dtype."""
        return Linear(self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype))

    def pack(self) -> Linear:
        """Itself, with a copy of the weight in the fastest layout, where this processor has one."""
        if self.weight.device.type == "cpu" and can_pack(self.weight.dtype):
            self._forward = _packed(self.weight)
        return self

    def __call__(self, x: Inputs) -> Outputs:
        """``[..., in]`` to ``[..., out]``."""
        x = x.to(self.weight.dtype)
        if self._forward is None or x.numel() == 0:
            return F.linear(x, self.weight, self.bias)
        if torch.is_grad_enabled() and x.requires_grad:
            if self._backward is None:
                self._backward = _packed(self.weight.T)
            return _Frozen.apply(x, self._forward, self._backward, self.bias)  # type: ignore[no-any-return,no-untyped-call]
        return _product(x, self._forward, self.bias)


class QuantizedLinear(Linear):
    """A map whose weight is held in few bits, in the layout of a package that alone can compute with it.

    Its products are the module's own, in the dtype of what comes in. Whether each row gives what it gives alone is the
    package's matter; the trial beside plain hooks checks it, as all else.
    """

    def __init__(self, module: torch.nn.Linear) -> None:
        super().__init__(module.weight.detach(), module.bias)
        self._module = module

    @property
    def n_outputs(self) -> int:
        """How many numbers come out."""
        return self._module.out_features

    def pack(self) -> Linear:
        """Itself: it is in a layout of its own."""
        return self

    def __call__(self, x: Inputs) -> Outputs:
        """``[..., in]`` to ``[..., out]``."""
        found: Outputs = self._module(x)
        return found


@functools.cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this build and processor have the faster product for a dtype."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if "AVX" not in torch.backends.cpu.get_cpu_capability():
        return False
    try:  # the operators that PyTorch's own compiler uses; they are not promised to stay
        x, weight = torch.ones(3, 4, dtype=dtype), torch.ones(2, 4, dtype=dtype)
        return torch.equal(_product(x, _packed(weight), None), F.linear(x, weight))
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):
        return False


def _packed(weight: Weight) -> torch.Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())  # type: ignore[no-any-return]


def _product(x: Inputs, packed: torch.Tensor, bias: Bias | None) -> Outputs:
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # type: ignore[no-any-return]


class _Frozen(torch.autograd.Function):
    """The product with a frozen weight; both directions use the fast layout."""

    @staticmethod
    def forward(ctx: Any, x: Inputs, forward: torch.Tensor, backward: torch.Tensor, bias: Bias | None) -> Outputs:
        ctx.back = backward
        return _product(x, forward, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Outputs) -> tuple[Inputs, None, None, None]:
        return _product(grads[0].contiguous(), ctx.back, None), None, None, None
