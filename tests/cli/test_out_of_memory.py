"""Too little memory is said in one line, whichever library found it out."""

from __future__ import annotations

from typing import Any

import pytest

from circuitspex.cli.memory import out_of_memory
from circuitspex.errors import UserError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes."
            ),
            "(4 GiB",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has"), "(2.50 GiB"),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "not enough memory"),
    ],
)
def test_whoever_runs_out_of_memory_says_the_same(error: Exception, said: str) -> None:
    assert said in str(out_of_memory(error))
    wrapped: Any = UserError("the model loads but can't run")
    wrapped.__cause__ = error
    assert said in str(out_of_memory(wrapped))
    assert out_of_memory(UserError("no such file")) is None
