"""Products into blocks, beside their definition in float64: rows gathered by block, tiles taken in turn."""

from __future__ import annotations

import pytest
import torch

from circuitspex.kernels import definitions, operators, tile_sizes
from circuitspex.kernels.work import block_rows

pytestmark = [pytest.mark.usefixtures("poisoned"), pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EXACT = torch.bfloat16 if torch.cuda.is_available() else torch.float32
"""The most exact dtype that has kernels here: float32 has none on a GPU."""
# masks, rows, blocks, width of a block, inputs
SHAPES = [(1, 1, 1, 1, 1), (3, 4, 5, 8, 36), (2, 6, 1, 136, 20), (9, 17, 2, 24, 70)]


def off_rows(gates, rows, width):
    return (gates == 0)[:, None, :, None].expand(-1, rows, -1, width).flatten(2)


def compare(shape, dtype, kind, options, make, close, wide):
    groups, rows, blocks, width, inputs = shape
    gates = make.gates(groups, blocks, kind=kind)
    with_gates, base_rows, gated, biased, activation, zeros = options
    x = make.normal(groups, rows, inputs, dtype=dtype)
    if kind != "on":
        x[(gates == 0).all(1)] = torch.nan  # rows of a mask that needs nothing
    weight, gate_weight = (make.normal(blocks * width, inputs, dtype=dtype) for _ in range(2))
    bias, gate_bias = (make.normal(blocks * width, dtype=dtype) for _ in range(2))
    base = make.normal(base_rows, blocks * width, dtype=dtype) if base_rows else None
    two = (gate_weight, gate_bias if biased else None) if gated else (None, None)
    found = operators.project_in(
        x,
        weight,
        bias if biased else None,
        block_rows((gates != 0).cpu().numpy(), rows, x.device),
        gates=gates if with_gates else None,
        baseline=base,
        gate_weight=two[0],
        gate_bias=two[1],
        activation=activation,
        zeros=zeros,
    )
    used = gates if with_gates else (gates != 0).double()
    expected = definitions.project_in(
        *wide(x.nan_to_num(0), weight, bias if biased else None, *two, used, base), activation
    )
    assert found.dtype == dtype
    off = off_rows(gates, rows, width)
    assert (found[off] == 0).all() if zeros else (found[off].isnan() | (found[off] == 0)).all()
    close(found.masked_fill(off, 0), expected, inputs)


@pytest.mark.some(4)
@pytest.mark.parametrize("kind", ["on", "off", "binary", "partial"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_project_in(shape, dtype, kind, make, close, wide):
    rows = shape[1]
    compare(shape, dtype, kind, (True, rows, True, True, "silu", False), make, close, wide)
    compare(shape, dtype, kind, (False, 0, False, False, "none", True), make, close, wide)


@pytest.mark.some(2)
@pytest.mark.parametrize("activation", definitions.ACTIVATIONS)
def test_activations_gates_and_baselines(activation, make, close, wide):
    shape = 3, 4, 3, 20, 24
    for gated in (False, True):
        for biased, base_rows, with_gates in ((True, 0, False), (False, 1, True), (True, 2, True)):
            options = with_gates, base_rows, gated, biased, activation, biased
            compare(shape, EXACT, "partial", options, make, close, wide)


@pytest.mark.some(3)
@pytest.mark.parametrize(("zeros", "programs"), [(False, 1), (True, 1), (True, 3)])
def test_many_tiles_for_each_program(zeros, programs, monkeypatch, make, close, wide):
    monkeypatch.setattr(
        tile_sizes, "device_of", lambda tensor: tile_sizes.Device(programs, 100000, whole_tiles=programs == 1)
    )
    options = True, 1, False, True, "gelu", zeros
    compare((5, 2, 40, 16, 16), EXACT, "binary", options, make, close, wide)  # more than stand together
    compare((3, 1, 20, 130, 16), EXACT, "binary", options, make, close, wide)  # in pieces of 64 columns
    compare((70, 1, 2, 8, 16), EXACT, "binary", options, make, close, wide)  # more masks than a list's piece


def test_rows_of_weights_at_a_stride_and_nothing_to_do(make, close, wide, device):
    weight = make.normal(12, 50)[:, 5:29]
    x, gates = make.normal(2, 3, 24), make.gates(2, 3, kind="binary")
    work = block_rows((gates != 0).cpu().numpy(), 3, device)
    expected = definitions.project_in(*wide(x, weight, None, weight, None, gates, None), "relu")
    for given in (weight, weight.T.contiguous().T):
        found = operators.project_in(x, given, None, work, gate_weight=given, activation="relu", zeros=True)
        close(found, expected, 24)
    for groups, rows in ((0, 3), (2, 0)):
        empty = block_rows(torch.ones(groups, 3, dtype=torch.bool).numpy(), rows, device)
        found = operators.project_in(torch.zeros(groups, rows, 24, device=device), weight, None, empty)
        assert found.shape == (groups, rows, 12)
