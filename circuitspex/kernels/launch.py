"""What the launchers share: outputs, pointers, strides, options of row-wise kernels, and how exact products are."""

from __future__ import annotations

import torch

from circuitspex.kernels.choice import interpreted


def empty(shape: tuple[int, ...], like: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """An output that a kernel fills; every element of it must be written."""
    return torch.empty(shape, dtype=dtype or like.dtype, device=like.device)


def or_other(tensor: torch.Tensor | None, other: torch.Tensor) -> torch.Tensor:
    """A kernel needs some pointer also for what it doesn't read."""
    return other if tensor is None else tensor.contiguous()


def one_stride(x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """``[G, R, I]`` as rows at one stride, and that stride; copied where it isn't so."""
    groups, rows, width = x.shape
    step = x.stride(1) if rows > 1 else x.stride(0)
    if (width > 1 and x.stride(2) != 1) or (groups > 1 and rows > 1 and x.stride(0) != rows * step):
        return x.contiguous(), width
    return x, step


def rows_of(weight: torch.Tensor) -> torch.Tensor:
    """A matrix whose last axis is contiguous; copied where it isn't."""
    return weight if weight.shape[1] < 2 or weight.stride(1) == 1 else weight.contiguous()


FUSED = {"enable_fp_fusion": True}
"""Products and sums may be one instruction; said because Triton 3.9 warns where it isn't."""


def row_options(width: int) -> dict[str, int | bool]:
    """For kernels with one row a program: 16 bytes a thread at least, and the whole row in registers if it fits."""
    block = next_power(width, most=16384)
    return {"WHOLE": width <= block, "BLOCK": block, "num_warps": min(16, max(1, block // 512)), **FUSED}


def pieces(width: int) -> int:
    """The piece of a row that one program of an element-wise kernel takes: 16 bytes a thread of 128."""
    return next_power(width, most=1024)


def next_power(number: int, least: int = 16, most: int = 128) -> int:
    """The smallest power of two that is not below ``number``, within bounds; products need at least 16."""
    return min(most, max(least, 1 << max(0, number - 1).bit_length()))


def precision(dtype: torch.dtype) -> str:
    """Products of float32 are float32's own, not TF32's; shorter dtypes are multiplied exactly anyway."""
    return "ieee" if dtype == torch.float32 else "tf32"


def upcast(dtype: torch.dtype) -> bool:
    """Whether products are to be taken of float32 copies: the interpreter has no products of bfloat16."""
    return dtype == torch.bfloat16 and interpreted() and not torch.cuda.is_available()
