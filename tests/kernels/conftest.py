"""Where kernels are tested: on the GPU, or else in Triton's interpreter, as the tests' root has chosen."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from circuitspex.kernels import choice, launch

# The kernels sum in float32: its rounding over some hundred terms. Shorter dtypes round inputs (exact in the float64
# definition too, which is given the same rounded numbers), weights of the softmax, and the result: a few units of 2^-8
# and 2^-11 of the largest element.
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 2e-2, torch.float16: 3e-3}


@pytest.fixture
def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture
def random() -> torch.Generator:
    generator = torch.Generator()
    seed = generator.seed()
    print(f"seed {seed}")  # shown where a test fails
    return generator


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs begin as NaN, kernels run (in float32 in the interpreter only), and one that fails is an error."""
    pytest.importorskip("triton", reason="Triton can't be imported")

    def poison(shape: tuple[int, ...], like: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        return torch.full(shape, torch.nan, dtype=dtype or like.dtype, device=like.device)

    monkeypatch.setattr(launch, "empty", poison)
    monkeypatch.setattr(choice, "_failed", set())
    warnings.simplefilter("error", choice.KernelWarning)


@pytest.fixture
def make(random: torch.Generator, device: str) -> SimpleNamespace:
    """Random inputs on the device: ``normal(*shape, dtype=…)`` and ``gates(*shape, kind=…)``."""

    def normal(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.randn(shape, generator=random).to(device, dtype)

    def gates(*shape: int, kind: str = "partial") -> torch.Tensor:
        if kind in ("on", "off"):
            return torch.full(shape, float(kind == "on"), device=device)
        drawn = torch.rand(shape, generator=random)
        if kind == "binary":
            return drawn.round().to(device)
        return torch.where(drawn < 0.3, 0, torch.where(drawn > 0.7, 1, drawn)).to(device)

    return SimpleNamespace(normal=normal, gates=gates)


@pytest.fixture
def close() -> Callable[..., None]:
    """``close(found, expected, terms)``: within the rounding of the dtype of ``found``, for sums of so many terms."""

    def check(found: torch.Tensor, expected: torch.Tensor, terms: int = 1, dtype: torch.dtype | None = None) -> None:
        assert found.shape == expected.shape
        assert torch.isfinite(found).all()
        if not expected.numel():
            return
        size = max(float(expected.abs().max()), 1e-6)
        gap = float((found.double() - expected.to(found.device)).abs().max())
        assert gap <= TOLERANCE[dtype or found.dtype] * size * max(1.0, math.sqrt(terms) / 8), gap / size

    return check


@pytest.fixture
def wide() -> Callable[..., list[object]]:
    """The same arguments in float64 where they are numbers with a fraction."""

    def convert(*arguments: object) -> list[object]:
        return [a.double() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in arguments]

    return convert
