"""What happens where a kernel fails: plain PyTorch for calls like it, one warning, and no more."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from circuitspex.errors import KernelWarning
from circuitspex.kernels import choice


class Launches:
    """A kernel that fails for what it is told to fail for, and counts its calls."""

    def __init__(self, fails: dict[torch.dtype, Exception]) -> None:
        self.fails = fails
        self.calls: list[torch.Tensor] = []

    def __call__(self, *given: Any) -> str:
        def fast() -> str:
            self.calls.append(given[0])
            if given[0].dtype in self.fails:
                raise self.fails[given[0].dtype]
            return "kernel"

        return choice.with_fallback("operator", given, fast, lambda: "plain")


@pytest.fixture(autouse=True)
def kernels_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_failed", set())
    monkeypatch.setattr(choice, "use_triton", lambda tensor: True)


def test_a_failure_is_one_of_its_dtype_and_shapes() -> None:
    launch = Launches({torch.float16: RuntimeError("spilled\nregisters")})
    x, weight = torch.ones(3, 100), torch.ones(64, 100)
    with pytest.warns(KernelWarning) as caught:
        assert launch(x.half(), weight.half(), None, 0.5) == "plain"
    assert [str(each.message) for each in caught] == [
        "the Triton kernel of operator (float16 4\u00d7128, float16 64\u00d7128, \u2013, 0.5) failed (RuntimeError: "
        "spilled registers); plain PyTorch is used instead"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        assert launch(torch.ones(4, 128).half(), weight.half(), None, 0.5) == "plain"
        assert len(launch.calls) == 1  # not tried again
        assert launch(x.bfloat16(), weight.bfloat16(), None, 0.5) == "kernel"
    launch.fails = {}
    for other in ((torch.ones(5, 100).half(), weight.half(), None, 0.5), (x.half(), weight.half(), x.half(), 0.5)):
        assert launch(*other) == "kernel"
    assert choice.with_fallback("another", (x.half(), weight.half(), None, 0.5), lambda: "kernel", str) == "kernel"


@pytest.mark.parametrize(
    "error",
    [torch.cuda.OutOfMemoryError("no"), RuntimeError("CUDA error: out of memory"), MemoryError()],
)
def test_memory_that_is_not_there_is_no_failure_of_a_kernel(error: Exception) -> None:
    launch = Launches({torch.float16: error})
    with warnings.catch_warnings():
        warnings.simplefilter("error", KernelWarning)
        with pytest.raises(type(error)):
            launch(torch.ones(2).half())
    launch.fails = {}
    assert launch(torch.ones(2).half()) == "kernel"


def test_a_kernel_is_launched_on_the_device_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[Any] = []

    @contextlib.contextmanager
    def device_of(tensor: torch.Tensor) -> Iterator[None]:
        current.append(tensor)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    x, seen = torch.ones(2), []
    choice.with_fallback("operator", (x, None), lambda: seen.append(list(current)), lambda: None)
    assert seen == [[x]]
    assert current == []
