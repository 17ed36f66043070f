"""A model of half precision in float32: the same numbers as that model converted, and the model left as it was."""

from __future__ import annotations

import pytest
import torch

from circuitspex.models.in_float32 import asked_in_float32, in_float32
from circuitspex.models.rounding import differ, differ_in_half
from circuitspex.models.state import model_state

HALF = [torch.bfloat16, torch.float16]


@pytest.mark.some(3)
@pytest.mark.parametrize("dtype", HALF)
def test_it_computes_what_the_converted_model_does(tiny, family, dtype, hooks_left):
    model = tiny.bridge(family, dtype)
    tokens = tiny.task(model).tokens
    before, places = model_state(model), [parameter.data_ptr() for parameter in model.parameters()]
    with torch.no_grad(), in_float32(model):
        found = model(tokens, use_cache=False)
    converted = tiny.hf_model(family, dtype).float()
    with torch.no_grad():
        expected = converted(tokens).logits
        rounded = model(tokens, use_cache=False)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert (rounded.float() - expected).abs().max() > 1e-3 * expected.abs().max()  # so that it says something
    assert rounded.dtype == dtype
    assert model_state(model) == before
    assert [parameter.data_ptr() for parameter in model.parameters()] == places
    assert hooks_left(model) == {}


def test_one_part_at_a_time_is_float32(tiny):
    model = tiny.fresh_bridge("llama", torch.bfloat16)
    wide: list[set[str]] = []

    def look(module, args):
        wide.append({n for n, p in model.original_model.named_parameters() if p.dtype == torch.float32})

    handles = []
    with torch.no_grad(), in_float32(model):
        handles += [model.blocks[layer].attn.register_forward_pre_hook(look) for layer in range(3)]
        model(tiny.task(model).tokens, use_cache=False)
    for handle in handles:
        handle.remove()
    assert len(wide) == 3
    for layer, names in enumerate(wide):
        assert names
        assert all(f"layers.{layer}." in name for name in names)


def test_a_pass_that_fails_leaves_the_model_as_it_was(tiny, hooks_left):
    model = tiny.fresh_bridge("gpt2", torch.float16)
    tokens, before = tiny.task(model).tokens, model_state(model)

    def fail(activation, hook):
        raise KeyError("no")

    with torch.no_grad(), in_float32(model):
        for _ in range(2):
            with pytest.raises(KeyError):
                model.run_with_hooks(tokens, fwd_hooks=[("blocks.1.attn.hook_z", fail)], use_cache=False)
        assert model(tokens, use_cache=False).dtype == torch.float32
    with pytest.raises(RuntimeError, match="in the middle"), in_float32(model):
        raise RuntimeError("in the middle")
    assert model_state(model) == before
    assert hooks_left(model) == {}


def test_other_dtypes_stay_as_they_are(tiny):
    model = tiny.bridge("llama")
    with in_float32(model):
        assert not any(block._forward_pre_hooks for block in model.blocks)
    assert asked_in_float32(model, lambda wide: wide) is False


def test_where_float32_fails_its_own_dtype_is_asked(tiny, monkeypatch):
    model = tiny.bridge("llama", torch.bfloat16)

    def ask(wide: bool) -> bool:
        if wide:
            raise TypeError("only bfloat16")
        return wide

    assert asked_in_float32(model, ask) is False
    assert asked_in_float32(model, lambda wide: wide) is True
    monkeypatch.setattr(type(model.original_model), "is_quantized", True, raising=False)
    assert asked_in_float32(model, lambda wide: wide) is False


def test_differences_beyond_the_limit_are_told():
    logits = torch.tensor([[1.0, -2.0, -torch.inf]])
    assert differ(logits + 1e-5, logits) is None
    assert "relative difference 1.0e-03" in str(differ(logits + 2e-3, logits))
    assert differ(logits.nan_to_num(), logits) is not None
    assert differ(logits * torch.nan, logits) is not None


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("amplified", [1, 30])
def test_half_precision_is_judged_by_what_plain_hooks_round_off(dtype, amplified):
    generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    unit = amplified * torch.finfo(dtype).eps

    def draw() -> torch.Tensor:
        return torch.randn(3, 2, 1, 61, generator=generator)

    exact = draw()
    plain, right, wrong = ((exact + times * unit * draw()).to(dtype) for times in (1, 2, 10))
    one = right.clone()
    one[1] = wrong[1]
    read = exact * (1 + 1e-6)
    assert differ_in_half(right, plain, read, exact) is None
    for bad in (wrong, one, right * torch.nan):
        assert differ_in_half(bad, plain, read, exact) is not None
    assert "in float32" in str(differ_in_half(right, plain, exact + 0.01 * draw(), exact))
    one_mask = exact.clone()
    one_mask[2] += 0.01 * draw()[0]
    assert "in float32" in str(differ_in_half(right, plain, one_mask, exact))
