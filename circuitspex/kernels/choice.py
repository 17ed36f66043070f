"""Which implementation runs: Triton on CUDA devices, where it can be imported and compiles, else plain PyTorch."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import torch

from circuitspex.errors import KernelWarning, UserError
from circuitspex.models.out_of_memory import is_out_of_memory

T = TypeVar("T")
Work = Callable[[], T]

_failed: set[str] = set()
"""The configurations that failed in this process."""


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


def with_fallback(name: str, given: Any, fast: Work[T], plain: Work[T]) -> T:
    """``fast()`` where Triton is used; ``plain()`` elsewhere, and from the first failure of such a call on.

    Args:
        name: of the operator.
        given: its arguments, or the one tensor that it is about; the first is a tensor, whose device runs the kernel.
        fast: launches the kernel. Whatever device is the current one, it is that of the tensors meanwhile.
        plain: the same in plain PyTorch.

    A failure is one of the kernel as it was compiled: of these dtypes, and shapes up to the next power of two. Other
    calls of the operator go on being tried. Allocations that fail are no failure of a kernel, and are raised.
    """
    given = given if isinstance(given, tuple) else (given,)
    if not use_triton(given[0]) or (_failed and configuration(name, given) in _failed):
        return plain()
    try:
        with torch.cuda.device_of(given[0]):  # type: ignore[no-untyped-call]
            return fast()
    except Exception as error:  # whatever a compiler or driver raises
        if is_out_of_memory(error):
            raise
        failed, reason = configuration(name, given), " ".join(str(error).split())[:160]
        _failed.add(failed)
        warnings.warn(
            f"the Triton kernel of {failed} failed ({type(error).__name__}: {reason}); plain PyTorch is used instead",
            KernelWarning,
            stacklevel=3,
        )
        return plain()


def configuration(name: str, given: tuple[Any, ...]) -> str:
    """What a kernel is compiled for, in words: dtypes, sizes up to the next power of two, and settings."""
    about = []
    for each in given:
        if isinstance(each, torch.Tensor):
            sizes = "×".join(str(1 << max(0, size - 1).bit_length()) for size in each.shape)
            about.append(f"{str(each.dtype).removeprefix('torch.')} {sizes}")
        else:
            about.append("–" if each is None else str(each).removeprefix("torch."))
    return f"{name} ({', '.join(about)})"


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
