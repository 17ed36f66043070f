"""Which implementation runs: Triton on CUDA devices, where it can be imported and compiles, else plain PyTorch."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import torch

from circuitspex.errors import UserError

Work = Callable[[], torch.Tensor]

_failed: set[str] = set()


@functools.cache
def why_no_triton() -> str | None:
    """None if Triton can be imported, else the reason."""
    try:
        import triton  # noqa: F401
    except ImportError as error:
        return f"Triton can't be imported ({error})"
    return None


def switched_off() -> bool:
    """Whether ``$CIRCUITSPEX_KERNELS`` is 'off', so that plain PyTorch runs everywhere; unset and 'on' change nothing.

    Raises:
        UserError: it is something else.
    """
    wanted = os.environ.get("CIRCUITSPEX_KERNELS", "on")
    if wanted not in ("on", "off"):
        raise UserError(f"CIRCUITSPEX_KERNELS is '{wanted}'; allowed: on, off")
    return wanted == "off"


def use_triton(tensor: torch.Tensor) -> bool:
    """Whether an operator on this tensor runs as a Triton kernel."""
    if switched_off():
        return False
    if tensor.dtype not in (torch.float32, torch.bfloat16, torch.float16) or why_no_triton() is not None:
        return False
    if interpreted():
        return tensor.device.type in ("cuda", "cpu")
    # Products of float32 need so many registers that kernels spill them: cuBLAS and PyTorch's attention are faster.
    return tensor.device.type == "cuda" and tensor.dtype != torch.float32


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on any device: for tests, where there is no GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def with_fallback(name: str, tensor: torch.Tensor, fast: Work, plain: Work) -> torch.Tensor:
    """``fast()`` where Triton is used; ``plain()`` elsewhere, and from the first failure of this operator on."""
    if name in _failed or not use_triton(tensor):
        return plain()
    try:
        return fast()
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a compiler or driver raises
        _failed.add(name)
        reason = " ".join(str(error).split())[:160]
        warnings.warn(
            f"the Triton kernel of {name} failed ({type(error).__name__}: {reason}); plain PyTorch is used instead",
            stacklevel=3,
        )
        return plain()


def describe() -> str:
    """One line: what runs on this machine, and why."""
    if switched_off():
        return "plain PyTorch operators: CIRCUITSPEX_KERNELS is off"
    if not torch.cuda.is_available():
        return "plain PyTorch operators: no CUDA device"
    reason = why_no_triton()
    if reason is not None:
        return f"plain PyTorch operators: {reason}"
    try:
        return f"fused Triton kernels (triton {version('triton')})"
    except PackageNotFoundError:
        return "fused Triton kernels"
