"""Which of the operators a piece of work called, which gave way to plain PyTorch, and how to switch them off."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from circuitspex.kernels import choice


@contextmanager
def switched_off(what: str) -> Iterator[None]:
    """The kernels or the graphs, by the environment: ``CIRCUITSPEX_KERNELS``, ``CIRCUITSPEX_GRAPHS``."""
    name = f"CIRCUITSPEX_{what.upper()}"
    before = os.environ.get(name)
    os.environ[name] = "off"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        space, _, name = func.name().partition("::")
        if space == "circuitspex":
            self.counts[name.split(".")[0]] += 1
        return func(*args, **(kwargs or {}))


def operators_called(work: Callable[[], object]) -> Counter[str]:
    """How often each operator was called. A replayed CUDA graph calls none: count the pass that captures it."""
    with _Counting() as counting:
        work()
    return counting.counts


def fallbacks(device: torch.device | str) -> list[str]:
    """Why plain PyTorch ran, or has begun to run, in place of kernels on this device; empty where it has not.

    On a card kernels are for half precision.
    """
    sample = torch.empty(1, device=device, dtype=torch.bfloat16)
    if not choice.use_triton(sample):
        return [choice.describe()]
    return sorted(str(each) for each in choice._failed)


def not_as_it_should(game: Any, called: Counter[str], device: torch.device | str) -> list[str]:
    """Why the passes of this game are not those that skip on a card; empty where they are, and on a CPU."""
    if torch.device(device).type != "cuda":
        return []
    if not game.executor.startswith("fused"):
        return [f"executor {game.executor}"]
    forward = game._engine._groups[0].forward
    if forward.why_no_kernels is not None:
        return [f"no passes on a card: {forward.why_no_kernels}"]
    found = [] if called else ["the executor called none of the operators"]
    return [*found, "passes could not be recorded as CUDA graphs"] if forward._card._graphs._off else found
