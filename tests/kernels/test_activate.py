"""Activations gated by neuron, beside their definition in float64."""

from __future__ import annotations

import pytest
import torch

from circuitspex.kernels import definitions, operators

pytestmark = [pytest.mark.usefixtures("poisoned"), pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")]


DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def compare(shape, dtype, activation, make, close, wide):
    groups, rows, width = shape
    joined = 3 * make.normal(groups, rows, 2 * width, dtype=dtype)
    up, gate = joined.chunk(2, dim=-1)
    cases = [(None, 0, False), ("on", 1, True), ("off", rows, False), ("binary", 0, True), ("partial", rows, True)]
    for kind, base_rows, gated in [*cases, ("partial", rows // 2 or 1, False)]:
        gates = None if kind is None else make.gates(groups, width, kind=kind)
        off = torch.zeros_like(up, dtype=torch.bool) if gates is None else (gates == 0)[:, None].expand_as(up)
        base = make.normal(base_rows, width, dtype=dtype) if base_rows else None
        up_, gate_ = joined.masked_fill(off.repeat(1, 1, 2), torch.nan).chunk(2, dim=-1)
        found = operators.activate(up_, gate_ if gated else None, activation=activation, gates=gates, baseline=base)
        expected = definitions.activate(*wide(up, gate if gated else None, gates, base), activation)
        assert found.dtype == dtype
        assert found.is_contiguous()
        assert (found[off] == 0).all()
        close(found, expected)


@pytest.mark.some(3)
@pytest.mark.parametrize("activation", definitions.ACTIVATIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_activate(dtype, activation, make, close, wide):
    compare((2, 4, 20), dtype, activation, make, close, wide)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1030), (3, 1, 33)])
def test_activate_in_pieces(shape, make, close, wide):
    compare(shape, torch.bfloat16, "silu", make, close, wide)


def test_activate_takes_what_is_not_contiguous(make, close, wide):
    up, gate = make.normal(5, 3, 7).transpose(0, 1), make.normal(3, 7, 5).transpose(1, 2)
    gates, base = make.gates(7, 3).T, make.normal(7, 5).T
    for gate_ in (gate, up, None):
        found = operators.activate(up, gate_, activation="silu", gates=gates, baseline=base)
        close(found, definitions.activate(*wide(up, gate_, gates, base), "silu"))


def test_the_largest_numbers_do_no_harm(device):
    x = torch.tensor([-3e38, -1e4, -100.0, 0.0, 100.0, 1e4], device=device)[None, None]
    for activation in definitions.ACTIVATIONS:
        found = operators.activate(x, activation=activation)
        torch.testing.assert_close(found, definitions.activate(x, None, None, None, activation))
    spoiled = torch.full_like(x, torch.nan)
    assert operators.activate(spoiled, activation="relu").isnan().all()


def test_nothing_to_do(device):
    for groups, rows in ((0, 3), (2, 0)):
        x = torch.zeros(groups, rows, 8, device=device)
        assert operators.activate(x, activation="relu").shape == x.shape
