"""Kernels compiled for a GPU that need not be there: no spilled registers, tensor cores used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from circuitspex.kernels import tile_sizes

PRODUCTS = {"project_in", "project_out", "attention"}


@pytest.mark.long
def test_what_the_compiler_makes_of_the_kernels():
    """In a process of its own: here Triton has been imported to interpret kernels."""
    pytest.importorskip("triton", reason="Triton can't be imported")
    root = Path(__file__).parents[2]
    more = [
        "--quick",
        "--targets",
        "90",
        "--models",
        "llama-3.2-1b",
        "gpt2",
        "--dtypes",
        "bfloat16",
        "--again",
        "--json",
    ]
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), environment.get("PYTHONPATH", "")])
    command = [sys.executable, str(root / "tools/compile_kernels.py"), *more]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout)
    assert {row["operator"] for row in rows} == {*PRODUCTS, "norm", "add_norm", "activate"}
    # Batches of other numbers of masks, and lists at other places, find their kernels compiled.
    assert [row for row in rows if row["again"]] == []
    for row in rows:
        assert row["spilled"] == row["stack"] == 0, row
        assert row["shared"] <= tile_sizes.HOPPER.shared, row
        assert row["registers"] <= 255, row
        if row["operator"] in PRODUCTS:
            assert row["instructions"] == ("wgmma" if row["tile_rows"] >= 64 else "mma"), row
        else:
            assert row["instructions"] == "", row
    tiles = {(row["operator"], row["tile_rows"]) for row in rows if row["operator"] in PRODUCTS}
    assert {("project_in", 128), ("project_out", 128), ("attention", 64), ("project_in", 16)} <= tiles


def test_tiles_of_old_devices_fit_too():
    """Whatever the shape, stages fit into the shared memory that there is; wider columns are not mostly empty."""
    for shared in (101376, 166912, 232448):
        device = tile_sizes.Device(100, shared)
        for rows in (1, 16, 40, 64, 128, 129, 200, 500):
            for width in (1, 16, 64, 80, 128, 192, 576, 8192, 14336):
                for gated in (False, True):
                    tile = min(128, max(16, rows))
                    for products, (options, together) in (
                        (1 + gated, tile_sizes.project_in(tile, 2048, width, gated, device)),
                        (1, tile_sizes.project_out(rows, width, width, device)),
                    ):
                        columns = options["BN"] * products
                        bytes_ = 2 * options["BK"] * (options["BM"] + columns) * options["num_stages"]
                        assert bytes_ <= shared, (rows, width, gated, options)
                        assert 1 <= together <= 4
                        assert -(-width // options["BN"]) * options["BN"] <= max(16, 2 * width)
