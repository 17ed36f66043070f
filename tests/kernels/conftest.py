"""Where kernels are tested: on the GPU, or else in Triton's interpreter, as the tests' root has chosen."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
