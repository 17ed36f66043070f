"""Norms, and norms of a sum, beside their definitions in float64."""

from __future__ import annotations

import pytest
import torch

from circuitspex.kernels import definitions, operators

pytestmark = pytest.mark.usefixtures("poisoned")

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
SMALL = [(3, 5, 48), (2, 3, 100)]
# masks, rows, width, dtype, centred; the last is wider than what a program holds at once
CASES = [
    *[(*shape, dtype, centred) for shape in SMALL for dtype in DTYPES for centred in (False, True)],
    (1, 1, 1, torch.float32, False),
    (2, 1, 576, torch.bfloat16, False),
    (1, 2, 2051, torch.float16, True),
    (1, 2, 16400, torch.float32, True),
    (1, 1, 16400, torch.bfloat16, False),
]


def of_norm(x, scale, shift, residual, masks, eps, centred, wide):
    return definitions.norm(*wide(x, scale, shift, residual), masks, eps, centred, torch.float64)


@pytest.mark.some(3)
@pytest.mark.parametrize("case", CASES)
def test_norm(case, make, close, wide):
    groups, rows, width, dtype, centred = case
    shape = groups, rows, width
    x, scale, shift = make.normal(*shape, dtype=dtype) + 1, make.normal(width, dtype=dtype), make.normal(width)
    for shift_, residual in ((None, None), (shift, make.normal(*shape)), (None, make.normal(*shape, dtype=dtype))):
        found = operators.norm(x, scale, shift_, eps=1e-3, centred=centred, residual=residual)
        assert found.dtype == (dtype if residual is None else residual.dtype)
        close(found, of_norm(x, scale, shift_, residual, None, 1e-3, centred, wide), width)
    order = torch.tensor([groups - 1, 0, groups - 1, groups // 2], dtype=torch.int32, device=x.device)
    for masks in (order, order[:1], order[:0]):
        found = operators.norm(x, scale, shift, eps=1e-3, centred=centred, masks=masks, dtype=torch.float32)
        assert found.dtype == torch.float32
        close(found, of_norm(x, scale, shift, None, masks, 1e-3, centred, wide), width)


def test_norm_takes_strides(make, close, wide, device):
    x = make.normal(7, 4, 3, 40)[:, ::2].flatten(1, 2).transpose(0, 1)[..., 5:38]
    assert x.shape == (6, 7, 33)
    scale, masks = make.normal(33), torch.tensor([5, 1], dtype=torch.int32, device=device)
    for given in (x, x.transpose(1, 2).contiguous().transpose(1, 2)):  # not even the last axis contiguous
        found = operators.norm(given, scale, eps=1e-5, masks=masks)
        close(found, of_norm(x, scale, None, None, masks, 1e-5, False, wide), 33)


@pytest.mark.some(6)
@pytest.mark.parametrize("case", CASES)
def test_add_norm(case, make, close, wide, device):
    groups, rows, width, dtype, centred = case
    shape = groups, rows, width
    h, scale, shift = make.normal(*shape, dtype=dtype) + 1, make.normal(width, dtype=dtype), make.normal(width)
    gain = make.gates(groups)
    on = gain != 0
    slots = torch.where(on, on.cumsum(0) - 1, -1).to(torch.int32)
    some = make.normal(int(on.sum()), rows, width, dtype=dtype)
    everywhere = make.normal(*shape, dtype=dtype)
    spoiled = torch.where(on[:, None, None], everywhere, torch.nan)
    cases = [
        (everywhere, None, None, None),
        (spoiled, None, gain, None),
        (spoiled, None, gain, make.normal(rows, width, dtype=dtype)),
        (some, slots, gain, make.normal(1, width, dtype=dtype)),
        (some.flip(0), torch.where(on, len(some) - 1 - slots, -1).to(torch.int32), gain, None),
        (some[:0], torch.full_like(slots, -1), torch.zeros_like(gain), make.normal(1, width, dtype=dtype)),
    ]
    for out, slots_, gain_, base in cases:
        shift_ = shift if base is None else None
        new, normed = operators.add_norm(
            h, out, scale, shift_, eps=1e-3, centred=centred, slots=slots_, gain=gain_, baseline=base
        )
        clean = out if len(out) else torch.zeros_like(h)[:1]
        arguments = wide(h, clean, slots_, gain_, base, scale, shift_)
        expected, _ = definitions.add_norm(*arguments, 1e-3, centred, torch.float64)
        assert new.dtype == normed.dtype == dtype
        close(new, expected)
        close(normed, of_norm(new, scale, shift_, None, None, 1e-3, centred, wide), width)
    _, normed = operators.add_norm(h, everywhere, scale, eps=1e-3, centred=centred, dtype=torch.float32)
    assert normed.dtype == torch.float32


def test_nothing_to_do(make, device):
    scale = make.normal(8)
    for groups, rows in ((0, 3), (2, 0)):
        h = torch.zeros(groups, rows, 8, device=device)
        assert operators.norm(h, scale, eps=1e-5).shape == (groups, rows, 8)
        assert [t.shape for t in operators.add_norm(h, h, scale, eps=1e-5)] == [(groups, rows, 8)] * 2
