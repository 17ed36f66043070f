"""What the launchers share: outputs, tile sizes, and how exact the products are."""

from __future__ import annotations

import torch

from circuitspex.kernels.choice import interpreted


def empty(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """An output that a kernel fills; every element of it must be written."""
    return torch.empty(shape, dtype=like.dtype, device=like.device)


def next_power(number: int, least: int = 16, most: int = 128) -> int:
    """The smallest power of two that is not below ``number``, within bounds; products need at least 16."""
    return min(most, max(least, 1 << max(0, number - 1).bit_length()))


def tiles(rows: int, columns: int, inner: int) -> dict[str, int]:
    """Tile sizes and launch options by shape: a rule, so that nothing is tuned while people wait."""
    rows_, columns_ = next_power(rows), next_power(columns)
    large = rows_ * columns_ >= 128 * 128
    return {
        "BM": rows_,
        "BN": columns_,
        "BK": next_power(inner, most=64),
        "num_warps": 8 if large else 4,
        "num_stages": 3,
    }


def precision(dtype: torch.dtype) -> str:
    """Products of float32 are float32's own, not TF32's; shorter dtypes are multiplied exactly anyway."""
    return "ieee" if dtype == torch.float32 else "tf32"


def upcast(dtype: torch.dtype) -> bool:
    """Whether products are to be taken of float32 copies: the interpreter has no products of bfloat16."""
    return dtype == torch.bfloat16 and interpreted() and not torch.cuda.is_available()
