"""Products out of blocks, beside their definition in float64: lists of blocks, sums that follow."""

from __future__ import annotations

import pytest
import torch

from circuitspex.kernels import definitions, operators, tile_sizes
from circuitspex.kernels.work import mask_blocks

pytestmark = pytest.mark.usefixtures("poisoned")

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EXACT = torch.bfloat16 if torch.cuda.is_available() else torch.float32
"""The most exact dtype that has kernels here: float32 has none on a GPU."""
# masks, rows, blocks, width of a block, outputs
SHAPES = [(1, 1, 1, 1, 1), (3, 5, 4, 8, 12), (2, 18, 3, 24, 40), (2, 4, 1, 150, 70)]


def compare(shape, dtype, kind, base_rows, residual, make, close, wide):
    groups, rows, blocks, width, outputs = shape
    gates = make.gates(groups, blocks, kind=kind)
    z, weight = (
        make.normal(groups, rows, blocks * width, dtype=dtype),
        make.normal(outputs, blocks * width, dtype=dtype),
    )
    off = (gates == 0)[:, None, :, None].expand(-1, rows, -1, width).reshape(z.shape)
    added = make.normal(base_rows, outputs, dtype=dtype) if base_rows else None
    before = None if residual is None else make.normal(groups, rows, outputs, dtype=residual)
    work = mask_blocks((gates != 0).cpu().numpy(), z.device)
    found = operators.project_out(z.masked_fill(off, torch.nan), weight, work, added=added, residual=before)
    assert found.dtype == (residual or dtype)
    expected = definitions.project_out(*wide(z, weight, gates, added, before))
    close(found, expected, blocks * width, dtype)


@pytest.mark.some(3)
@pytest.mark.parametrize("kind", ["on", "off", "binary"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_project_out(shape, dtype, kind, make, close, wide):
    rows = shape[1]
    compare(shape, dtype, kind, rows, dtype, make, close, wide)
    compare(shape, dtype, kind, 0 if kind == "on" else 1, None, make, close, wide)
    if rows % 2 == 0:
        compare(shape, dtype, kind, rows // 2, torch.float32, make, close, wide)


def test_rows_in_several_tiles(make, close, wide):
    compare((18, 2, 2, 16, 130), EXACT, "binary", 1, None, make, close, wide)  # more than stand together
    assert tile_sizes.project_out(150, 70, 8, tile_sizes.HOPPER)[0]["BM"] == 64
    compare((2, 150, 3, 8, 70), EXACT, "binary", 75, torch.float32, make, close, wide)
    compare((2, 260, 2, 8, 20), EXACT, "binary", 0, None, make, close, wide)


def test_weights_at_a_stride_and_nothing_to_do(make, close, wide, device):
    weight = make.normal(12, 50)[:, 5:29]
    z, gates = make.normal(2, 3, 24), make.gates(2, 3, kind="binary")
    work = mask_blocks((gates != 0).cpu().numpy(), device)
    expected = definitions.project_out(*wide(z, weight, gates, None, None))
    for given in (weight, weight.T.contiguous().T):
        close(operators.project_out(z, given, work), expected, 24)
    for groups, rows in ((0, 3), (2, 0)):
        empty = mask_blocks(torch.ones(groups, 3, dtype=torch.bool).numpy(), device)
        found = operators.project_out(torch.zeros(groups, rows, 24, device=device), weight, empty)
        assert found.shape == (groups, rows, 12)
