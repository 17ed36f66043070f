"""Precision of float32 products: read and set aside however PyTorch was told of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

NEW = "torch.backends.cuda.matmul.fp32_precision = 'tf32'"
OLD = "torch.set_float32_matmul_precision('high')"
SCRIPT = """
import torch
from circuitspex.models.float32_products import exact_products, float32_products, tf32_on_cuda
from circuitspex.models.state import _numerics
assert float32_products() == 'highest' and not tf32_on_cuda()
{told}
told = float32_products()
assert told != 'highest' and tf32_on_cuda()
assert ('float32 products', told) in _numerics(set())
with exact_products():
    assert not tf32_on_cuda()
assert tf32_on_cuda() and float32_products() == told
"""


@pytest.mark.parametrize("told", [OLD, *([NEW] if hasattr(torch.backends.cuda.matmul, "fp32_precision") else [])])
def test_both_ways_to_say_it_are_understood(told):
    """In a process of its own: PyTorch does not forget which way was used."""
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(told=told)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
