"""How products of float32 are computed: as they are, or rounded first (to TF32, bfloat16), as PyTorch was told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


def float32_products() -> str:
    """What PyTorch was told, in its words; 'highest' are float32's own products."""
    import torch

    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # it was told for one backend, and has no word for them all
        return ", ".join(each.fp32_precision for each in _backends())


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """Within the block, products of float32 are float32's own."""
    import torch

    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:
        kept = [(each, each.fp32_precision) for each in _backends()]
        try:
            for each, _ in kept:
                each.fp32_precision = "ieee"
            yield
        finally:
            for each, precision in kept:
                each.fp32_precision = precision
        return
    try:
        if before != "highest":
            torch.set_float32_matmul_precision("highest")
        yield
    finally:
        if before != "highest":
            torch.set_float32_matmul_precision(before)


def tf32_on_cuda() -> bool:
    """Whether products of float32 are TF32's on CUDA devices."""
    import torch

    try:
        return bool(torch.backends.cuda.matmul.allow_tf32)
    except RuntimeError:
        return bool(torch.backends.cuda.matmul.fp32_precision == "tf32")


def _backends() -> tuple[Any, ...]:
    import torch

    return torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
