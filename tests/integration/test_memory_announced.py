"""Peaks of processes of their own, beside what was announced: models as wide as those of 1B and 8B; long prompts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")

spec = importlib.util.spec_from_file_location("bench_memory", Path(__file__).parents[2] / "tools/bench/memory.py")
assert spec is not None
assert spec.loader is not None
bench = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bench)


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("width", "n_layers", "stored", "dtype"), [("1B", 2, "bfloat16", "float32"), ("8B", 1, "bfloat16", "bfloat16")]
)
def test_a_model_takes_what_was_announced(width, n_layers, stored, dtype):
    found = bench.alone("loaded", width, n_layers, stored, dtype=dtype)
    assert found["measured"] == pytest.approx(found["announced"], rel=0.15)


@pytest.mark.long
def test_a_thousand_tokens_and_32_masks_stay_within_what_was_announced():
    found = bench.alone("run", "small", 2, "float32", n_tokens=1000, n_masks=32, executor="fused", gradients=False)
    assert 0.5 * found["announced"] < found["measured"] < 1.15 * found["announced"]
