"""Weights of few bits, as quantisation packages have them: a class of tensor that alone computes its products."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F


class FewBits(torch.Tensor):
    """A matrix as whole numbers ``[outputs, inputs]`` of 8 bits, and a scale for each output."""

    @staticmethod
    def __new__(cls, whole: torch.Tensor, scale: torch.Tensor) -> FewBits:
        return torch.Tensor._make_wrapper_subclass(cls, whole.shape, dtype=scale.dtype)

    def __init__(self, whole: torch.Tensor, scale: torch.Tensor) -> None:
        self.whole, self.scale = whole, scale

    def __tensor_flatten__(self) -> tuple[list[str], dict[str, Any]]:
        return ["whole", "scale"], {}

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.linear:
            x, weight, *bias = args
            return F.linear(x, (weight.whole * weight.scale).to(x.dtype), *bias, **(kwargs or {}))
        return super().__torch_function__(function, types, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            return cls(args[0].whole, args[0].scale)
        raise NotImplementedError(f"{function} of weights in few bits")


class Beside(torch.nn.Parameter):
    """Whole numbers whose scales are an attribute, as those of bitsandbytes."""

    quant_state: Any


def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole numbers between -127 and 127, and a scale for each output."""
    scale = weight.abs().amax(1, keepdim=True) / 127
    return (weight / scale).round().to(torch.int8), scale


def in_few_bits(model: Any) -> Any:
    """A Hugging Face model whose linear maps, but for the unembedding, have such weights."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            module.weight = torch.nn.Parameter(FewBits(*rounded(module.weight.detach())), requires_grad=False)
    return model


def with_scales_beside(model: Any, scale: float) -> Any:
    """The first linear map's weight as whole numbers, with scales times ``scale`` beside them."""
    module = next(each for each in model.modules() if isinstance(each, torch.nn.Linear))
    whole, scales = rounded(module.weight.detach())
    weight = Beside(whole, requires_grad=False)
    weight.quant_state = SimpleNamespace(as_dict=lambda packed: {"absmax": scales * scale})
    module.weight = weight
    return model
