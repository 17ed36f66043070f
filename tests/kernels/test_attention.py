"""Attention beside its definition in float64, which is itself beside PyTorch's own attention and the models' rotary."""

from __future__ import annotations

import pytest
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from circuitspex.kernels import definitions, operators

pytestmark = pytest.mark.usefixtures("poisoned")

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
EXACT = torch.bfloat16 if torch.cuda.is_available() else torch.float32
"""The most exact dtype that has kernels here: float32 has none on a GPU."""


def tables(positions, rotary, make, dtype):
    """Cosines and sines of some angles; not the same in both halves, so that a mix-up would show."""
    angles = make.normal(positions, rotary)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def compare(sizes, dtype, kind, make, close, wide, rotary=0, before=0, softcap=0.0, window=0, base_rows=0, each=False):
    masks, prompts, heads, kv, queries, keys, width = sizes
    n = masks * prompts
    q = make.normal(n, queries, heads, width, dtype=dtype)
    k, v = (make.normal(n, keys, kv, width, dtype=dtype) for _ in range(2))
    cos, sin = tables(before + keys, rotary, make, dtype) if rotary else (None, None)
    old = tuple(make.normal(prompts, before, kv, width, dtype=dtype) for _ in range(2)) if before else None
    gates = None if kind is None else make.gates(masks, queries if each else 1, heads, kind=kind)
    base = make.normal(base_rows, queries, heads * width, dtype=dtype) if base_rows else None
    rest = {"scale": width**-0.5, "softcap": softcap, "window": window}
    expected = definitions.attention(*wide(q, k, v, cos, sin, *(old or (None, None)), gates, base), *rest.values())
    if gates is not None:
        off = (gates == 0).all(1).repeat_interleave(prompts, 0)[:, None, :, None]
        q = q.masked_fill(off, torch.nan)
        idle = off.unflatten(2, (kv, -1)).all(3)
        k, v = k.masked_fill(idle, torch.nan), v.masked_fill(idle, torch.nan)
    found = operators.attention(q, k, v, cos=cos, sin=sin, before=old, gates=gates, baseline=base, **rest)
    assert found.dtype == dtype
    close(found, expected, 64)
    if gates is not None:
        zero = (gates == 0).repeat_interleave(prompts, 0)[..., None].expand(n, queries, heads, width)
        assert (found.reshape(zero.shape)[zero] == 0).all()


@pytest.mark.some(6)
@pytest.mark.parametrize("kind", [None, "on", "off", "binary", "partial"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_attention(dtype, kind, make, close, wide):
    compare((2, 2, 4, 2, 5, 5, 16), dtype, kind, make, close, wide, rotary=16, base_rows=2 if kind else 0)
    compare((2, 1, 3, 1, 1, 9, 24), dtype, kind, make, close, wide, base_rows=1 if kind else 0)


@pytest.mark.some(4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((1, 1, 1, 1, 1, 1, 4), {}),
        ((1, 1, 2, 2, 3, 3, 1), {}),
        ((2, 1, 2, 1, 4, 6, 20), {"rotary": 6}),
        ((1, 2, 2, 1, 6, 70, 64), {"softcap": 2.0, "rotary": 64}),
        ((1, 1, 2, 1, 70, 70, 20), {"window": 7, "rotary": 20}),
        ((2, 1, 2, 1, 66, 130, 40), {"window": 20, "softcap": 3.0}),
        ((2, 2, 4, 2, 5, 5, 12), {"before": 4, "rotary": 12}),
        ((2, 2, 2, 1, 3, 8, 10), {"before": 70, "rotary": 4, "base_rows": 2, "window": 30}),
        ((1, 3, 2, 2, 2, 2, 16), {"before": 70, "window": 2}),
        ((1, 1, 2, 1, 3, 3, 256), {"rotary": 64, "before": 2}),
        ((1, 1, 2, 1, 3, 3, 320), {"rotary": 320, "base_rows": 1}),  # too large for a tile
    ],
)
def test_shapes(sizes, options, dtype, make, close, wide):
    compare(sizes, dtype, "partial" if "base_rows" in options else None, make, close, wide, **options)


@pytest.mark.some(2)
@pytest.mark.parametrize("kind", ["on", "off", "binary", "partial"])
def test_gates_at_each_position(kind, make, close, wide):
    compare((3, 2, 4, 2, 6, 9, 16), EXACT, kind, make, close, wide, rotary=8, base_rows=2, each=True)
    compare((2, 1, 2, 2, 70, 70, 8), torch.bfloat16, kind, make, close, wide, each=True)


def test_strides_and_another_dtype_before(make, close, wide):
    joined = make.normal(4, 7, 8, 16)  # queries, keys and values from one product
    q, k, v = joined[:, 3:, :4], joined[:, :, 4:6], joined[:, :, 6:]
    old = tuple(make.normal(3, 2, 2, 16).transpose(0, 1).contiguous().transpose(0, 1) for _ in range(2))
    old = tuple(part[:2] for part in old)
    cos, sin = tables(9, 16, make, torch.float32)
    gates, base = make.gates(2, 1, 4), make.normal(1, 4, 64)
    expected = definitions.attention(*wide(q, k, v, cos, sin, *old, gates, base), 0.3, 0.0, 0)
    rest = {"scale": 0.3, "cos": cos, "sin": sin, "gates": gates, "baseline": base}
    close(operators.attention(q, k, v, before=old, **rest), expected, 64)
    q, k, v = (part.transpose(2, 3).contiguous().transpose(2, 3) for part in (q, k, v))
    close(operators.attention(q, k, v, before=tuple(part.double() for part in old), **rest), expected, 64)


def test_the_definition_is_what_models_do(make):
    q, k, v = make.normal(3, 6, 4, 8), make.normal(3, 6, 2, 8), make.normal(3, 6, 2, 8)
    angles = make.normal(6, 4).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()
    found = definitions.attention(q, k, v, cos, sin, None, None, None, None, 0.5, 0.0, 0)
    heads = [part.transpose(1, 2) for part in (q, k, v)]
    turned = apply_rotary_pos_emb(*heads[:2], cos[None], sin[None])
    expected = torch.nn.functional.scaled_dot_product_attention(
        *turned, heads[2], is_causal=True, scale=0.5, enable_gqa=True
    )
    torch.testing.assert_close(found, expected.transpose(1, 2).flatten(2))


def test_nothing_to_do(device):
    for n, length in ((0, 3), (2, 0)):
        x = torch.zeros(n, length, 2, 8, device=device)
        assert operators.attention(x, x, x, scale=1.0).shape == (n, length, 16)
