"""What the names of components promise is proved on each model; what does not hold is refused by name."""

from __future__ import annotations

import importlib
import random
from typing import Any

import numpy as np
import pytest
import torch

from circuitspex import UserError
from circuitspex.components import KINDS, model_structure, select
from circuitspex.components.layout import Layout
from circuitspex.components.proof import claims, codes, trial
from circuitspex.errors import ComponentError


@pytest.mark.parametrize("n_units", [1, 2, 3, 4, 6, 7, 32, 71, 128])
def test_no_units_rows_lie_within_anothers(n_units):
    rows = codes.code(n_units)
    assert len(rows) == n_units
    assert all(0 <= row < codes.code_rows(n_units) for each in rows for row in each)
    assert not any(one <= other for one in rows for other in rows if one is not other)
    assert codes.code_rows(n_units) <= max(2, 2 * np.log2(n_units) + 2)


@pytest.mark.parametrize(
    ("layout", "shape", "width"),
    [(Layout(4), (2, 3, 32), 8), (Layout(4, pos=2), (2, 4, 3, 8), 8), (Layout(4, 1, 0, 8), (2, 3, 8, 8), 8)],
)
def test_what_a_layout_reads_it_writes_back(layout, shape, width):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    units = layout.read(x)
    assert units.shape == (2, 3, 4, width)
    torch.testing.assert_close(layout.write(x, units), x, atol=0, rtol=0)
    other = layout.write(x, units + 1)
    assert other.shape == x.shape
    torch.testing.assert_close(layout.read(other), units + 1, atol=0, rtol=0)
    assert int((other != x).sum()) == units.numel()  # and nothing else is changed


def verdict(model: Any, claim: claims.Claim, layer: int = 1) -> str | None:
    beside = {"beside": claims.HeadsRead(f"blocks.{layer}.attn.hook_z", n_units=4)}
    return trial.trial(model, {layer: {**beside, "claim": claim}})[layer, "claim"]


def test_hooks_that_carry_what_their_name_promises_stand(tiny, family):
    model = tiny.bridge(family)
    at = "blocks.1."
    assert verdict(model, claims.Adds(f"{at}hook_attn_out")) is None
    assert verdict(model, claims.Adds(f"{at}hook_mlp_out", of_attention=False)) is None
    assert verdict(model, claims.Enters(f"{at}hook_resid_pre")) is None
    assert verdict(model, claims.HeadsRead(f"{at}attn.hook_z", n_units=4)) is None
    assert verdict(model, claims.Moves(f"{at}attn.hook_q", n_units=4, n_heads=4)) is None


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        # The stream itself, before, between and after, and what norms make of it, are not what is added to it.
        (claims.Adds("blocks.1.hook_resid_pre"), "does not change the residual stream by as much"),
        (claims.Adds("blocks.1.ln2.hook_in"), "does not change the residual stream by as much"),
        (claims.Adds("blocks.1.hook_resid_mid", of_attention=False), "does not change the residual stream"),
        (claims.Adds("blocks.1.hook_resid_post", of_attention=False), "nothing passes 'blocks.1.hook_resid_post'"),
        (claims.Adds("blocks.1.ln1.hook_out"), "does not change the residual stream by as much"),
        (claims.Adds("blocks.1.attn.hook_z"), "does not change the residual stream by as much"),
        (claims.Enters("blocks.1.ln1.hook_out"), "is not the residual stream that the layer reads"),
        (claims.Enters("blocks.1.ln2.hook_in"), "is not the residual stream that the layer reads"),
        (claims.IsRead("blocks.1.hook_mlp_out", n_units=32), "is not what an output projection reads"),
        # Sixteen neurons of one head are not two heads; nor is a query a head's output, nor a key a query.
        (claims.HeadsRead("blocks.1.attn.hook_z", n_units=5), "reads 32 numbers a token, for 5 units"),
        (claims.HeadsRead("blocks.1.attn.hook_q", n_units=4), "is not what an output projection reads"),
        (claims.Moves("blocks.1.attn.hook_q", Layout(8), 8, 8), "changes the output of a head that they don't serve"),
        (claims.Moves("blocks.1.attn.hook_k", Layout(4), 4, 4), "changes the output of a head that they don't serve"),
        (claims.Moves("blocks.1.attn.hook_v", None, 2, 4), "does more than choose what heads attend to"),
        (claims.Moves("blocks.1.attn.hook_k", None, 2, 4, is_value=True), "are not linear in what passes"),
        (claims.Moves("blocks.1.attn.hook_v", Layout(2, 1, 4), 2, 4), "does more than choose"),
    ],
)
def test_hooks_that_carry_something_else_are_told_apart(tiny, claim, why):
    assert why in (verdict(tiny.bridge("llama"), claim) or "it stands")


def test_a_gate_beside_a_query_is_not_the_query(tiny):
    model = tiny.bridge("qwen3_5")
    both, gate, query = (
        claims.Moves("blocks.0.attn.hook_q", Layout(4, 1, *part), 4, 4) for part in ((0, None), (8, None), (0, 8))
    )
    assert "does more than choose" in (verdict(model, both, 0) or "")
    assert "does more than choose" in (verdict(model, gate, 0) or "")
    assert verdict(model, query, 0) is None
    assert model_structure(model).layers[0].part("query").layout == Layout(4, 1, 0, 8)


def test_queries_of_latent_attention_are_not_positions(tiny):
    """``[rows, head, pos, width]``, with as many tokens as heads."""
    part = model_structure(tiny.bridge("deepseek_v3")).layers[1].part("query")
    assert part.layout == Layout(4, pos=2)
    assert (part.n_units, part.width) == (4, 10)
    wrong = claims.Moves("blocks.1.attn.hook_q", Layout(4), 4, 4)
    assert verdict(tiny.bridge("deepseek_v3"), wrong) is not None


def test_norms_over_all_heads_leave_queries_apart(tiny):
    layer = model_structure(tiny.bridge("olmo2")).layers[0]
    assert [layer.part(kind).n_units for kind in ("head", "query", "key", "value")] == [4, 4, 2, 2]


def test_what_attention_adds_in_a_post_norm_model(tiny, tmp_path):
    """TransformerLens's ``hook_attn_out`` is the stream after its norm there: another hook is what attention adds.

    BERT is bidirectional, and refused with tasks; it is wrapped by hand here.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    tiny.tokenizer.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    model = TransformerBridge.boot_transformers(
        "tiny-bert", hf_model=tiny.hf_model("bert"), tokenizer=tokenizer, device="cpu"
    ).eval()
    layer = model_structure(model).layers[1]
    assert "does not change the residual stream" in (verdict(model, claims.Adds("blocks.1.hook_attn_out")) or "")
    original = tiny.hf_model("bert").eval()
    modules = original.bert.encoder.layer[1]
    tokens = torch.arange(5, 10)[None]
    for kind, module in (("attention", modules.attention.output.dense), ("mlp", modules.output.dense)):
        hook = layer.part(kind).hook
        with torch.no_grad():
            found = model.run_with_hooks(tokens, fwd_hooks=[(hook, lambda z, hook: z * 0)])
            handle = module.register_forward_hook(lambda module, args, output: output * 0)
            expected = original(tokens).logits
            handle.remove()
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        assert float((model(tokens) - expected).abs().max()) > 1e-2


def test_what_fails_is_refused_by_name_and_no_selector_passes_it_over(tiny, monkeypatch):
    """A layer whose attention squares what passes its output projection: the other layers don't speak for it."""
    model = tiny.fresh_bridge("llama")
    layer = model.blocks[1].original_component
    attention = layer.self_attn.forward

    def bent(*args: Any, **kwargs: Any) -> Any:
        out, weights = attention(*args, **kwargs)
        return out * out.abs(), weights

    monkeypatch.setitem(layer.self_attn.__dict__, "forward", bent)
    structure = model_structure(model)
    for selector in ("L1A", "attns"):
        with pytest.raises(ComponentError) as caught:
            select(structure, selector)
        assert "layer 1 of tiny-llama has an attention layer that can't be ablated rightly" in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
    assert [str(c) for c in select(structure, "L0.attns+L2.attns")] == ["L0A", "L2A"]


def test_a_number_of_heads_that_is_not_the_models_is_refused(tiny, monkeypatch):
    model = tiny.fresh_bridge("llama")
    for block in model.blocks:
        block.attn.original_component.config.num_attention_heads = 8
    monkeypatch.setattr(model.original_model.config, "num_attention_heads", 8)
    with pytest.raises(ComponentError, match="has heads that can't be ablated rightly: they could not be"):
        select(model_structure(model), "heads")


def test_the_model_and_all_generators_are_as_they_were(tiny, hooks_left):
    model = tiny.fresh_bridge("deepseek_v3")
    weights = [parameter.clone() for parameter in model.parameters()]
    states = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    first = model_structure(model)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert states[2] == str(np.random.get_state())  # noqa: NPY002
    assert hooks_left(model) == {}
    assert all(torch.equal(*pair) for pair in zip(weights, model.parameters(), strict=True))
    again = model_structure(tiny.fresh_bridge("deepseek_v3"))
    for one, other in zip(first.layers, again.layers, strict=True):
        for kind in KINDS:
            seen = [(p.n_units, p.width, p.hook, p.why, p.layout) for p in (one.part(kind), other.part(kind))]
            assert seen[0] == seen[1]


def test_it_is_proved_once_for_a_model_and_again_for_other_weights(tiny, monkeypatch):
    model = tiny.fresh_bridge("gpt2")
    proved = []
    module = importlib.import_module("circuitspex.components.proof.proofs")
    prove = module._prove
    monkeypatch.setattr(module, "_prove", lambda *a, **k: proved.append(1) or prove(*a, **k))
    model_structure(model)
    model_structure(model)
    assert len(proved) == 1
    with torch.no_grad():
        next(model.parameters()).mul_(1.5)
    model_structure(model)
    model_structure(model)
    assert len(proved) == 2


def test_a_proof_takes_few_passes(tiny, monkeypatch):
    """Two for shapes, one for overflow, one for the trial; a model with a replaced forward is proved each time."""
    model = tiny.fresh_bridge("gpt2")
    runs = []
    forward = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda self, *a, **k: runs.append(1) or forward(self, *a, **k))
    for times in (1, 2):
        model_structure(model)
        assert 0 < len(runs) <= 4 * times


@pytest.mark.some(3)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("family", ["llama", "gemma2", "deepseek_v3", "qwen3_5"])
def test_half_and_double_precision_prove_the_same(tiny, family, dtype):
    expected, found = model_structure(tiny.bridge(family)), model_structure(tiny.bridge(family, dtype))
    for one, other in zip(expected.layers, found.layers, strict=True):
        for kind in ("head", "query", "key", "value", "attention", "mlp", "neurons", "residual", "expert"):
            assert (one.part(kind).n_units, one.part(kind).layout) == (
                other.part(kind).n_units,
                other.part(kind).layout,
            )


def test_a_model_that_does_not_run_says_so(tiny, monkeypatch):
    model = tiny.fresh_bridge("llama")

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a part is missing")

    monkeypatch.setitem(model.blocks[1].original_component.__dict__, "forward", broken)
    with pytest.raises(UserError, match="tiny-llama can't be run: RuntimeError: a part is missing"):
        model_structure(model)


def spoil(model: Any, layer: int, **parts: slice) -> None:
    """Zero these columns of a projection of the Hugging Face layer."""
    modules = dict(model.blocks[layer].original_component.named_modules())
    for name, columns in parts.items():
        found = [m for path, m in modules.items() if path.split(".")[-1] == name or f".{name}._original" in path]
        weights = [m.weight for m in found if isinstance(getattr(m, "weight", None), torch.Tensor)]
        assert weights
        with torch.no_grad():
            for weight in weights:
                weight[:, columns] = 0


@pytest.mark.some(3)
@pytest.mark.parametrize("columns", [slice(None), slice(0, 8)])
@pytest.mark.parametrize("name", ["o_proj", "down_proj", "q_proj", "k_proj", "v_proj"])
def test_parts_that_do_nothing_are_offered(tiny, name, columns):
    """Pruned weights write nothing, or make nothing of what is read: the components are there all the same."""
    model, kinds = (
        tiny.fresh_bridge("llama"),
        ("head", "query", "key", "value", "attention", "mlp", "neurons", "residual"),
    )
    expected = model_structure(model).layers[1]
    spoil(model, 1, **{name: columns})
    found = model_structure(model).layers[1]
    for kind in kinds:
        assert found.part(kind).why is None or not found.part(kind).refused, found.part(kind).why
        assert (found.part(kind).n_units, found.part(kind).hook, found.part(kind).layout) == (
            expected.part(kind).n_units,
            expected.part(kind).hook,
            expected.part(kind).layout,
        )


def test_a_projection_that_is_not_used_is_refused_though_it_is_read(tiny):
    """Weights that write, into nothing: that is another layer than the names say."""
    model = tiny.fresh_bridge("llama")
    layer = model.blocks[1].original_component
    handle = layer.self_attn.register_forward_hook(lambda module, args, out: (torch.zeros_like(out[0]), *out[1:]))
    try:
        why = verdict(model, claims.HeadsRead("blocks.1.attn.hook_z", n_units=4))
    finally:
        handle.remove()
    assert why is not None
    assert "does not change what the layer gives" in why


def test_a_trial_is_in_eval_mode_and_puts_the_mode_back(tiny):
    model = tiny.fresh_bridge("llama")
    expected = model_structure(model).layers[1].part("head").n_units
    layer = model.blocks[1].original_component
    attention = getattr(layer.self_attn, "original_component", layer.self_attn)
    attention.attention_dropout = 0.5
    model.train()
    modes = [module.training for module in model.modules()]
    assert any(modes)
    assert model_structure(model).layers[1].part("head").n_units == expected
    assert [module.training for module in model.modules()] == modes
