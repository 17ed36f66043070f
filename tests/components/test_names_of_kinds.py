"""How queries, attention layers, residual streams, experts and latents are named, and what wrong names are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from circuitspex import Latents
from circuitspex.components import Component, model_structure, parse_component, select
from circuitspex.errors import ComponentError, FileFormatError, UserError


def zeros(hook: str = "blocks.1.hook_resid_post", d: int = 32, m: int = 10, **options: Any) -> Latents:
    return Latents(**{"hook": hook, "encoder": torch.zeros(d, m), "decoder": torch.zeros(m, d), **options})


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ("L5H1.q", Component(5, "query", 1, 2)),
        ("L5H1.k@-1", Component(5, "key", 1, 2, -1)),
        ("L5H0.v@3", Component(5, "value", 0, 1, 3)),
        ("L5A", Component(5, "attention")),
        ("L5A@0", Component(5, "attention", 0, 0, 0)),
        ("L5R@-1", Component(5, "residual", 0, 0, -1)),
        ("L5E3", Component(5, "expert", 3, 4)),
        ("L5S123", Component(5, "latents", 123, 124)),
        ("L5S0:64@2", Component(5, "latents", 0, 64, 2)),
    ],
)
def test_written_forms(text, component):
    assert parse_component(text) == component
    assert str(component) == text


@pytest.mark.parametrize("text", ["L1H0.x", "L1H.q", "L1M.q", "L1A0", "L1R2", "L1E", "L1E0:2", "L1S", "L1H0.q.k"])
def test_what_is_no_component(text):
    with pytest.raises(ComponentError, match="is not a component; components are written"):
        parse_component(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((1, "query", 1, 3), "a query is one index, so its stop is 2, not 3"),
        ((1, "expert", 1, 1), "an expert is one index"),
        ((1, "attention", 0, 2), "the attention layer has no indices: start and stop are 0, not 0, 2"),
        ((1, "residual", 1, 2), "the residual stream has no indices"),
        ((1, "latents", 4, 4), "empty range of latents"),
        ((1, "path", 0, 0), "unknown kind of component 'path'; allowed: head, query, key"),
    ],
)
def test_components_that_can_not_be(options, message):
    with pytest.raises(ComponentError, match=message):
        Component(*options)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma2", "qwen3", "phi3", "mixtral"])
def test_what_selectors_name(tiny, family):
    structure = model_structure(tiny.bridge(family))
    n_kv = tiny.n_heads if family in ("gpt2", "gpt_neox") else 2
    sizes = {"heads.q": tiny.n_heads, "heads.k": n_kv, "heads.v": n_kv, "attns": 1, "residuals": 1}
    if family == "mixtral":
        sizes["experts"] = 4
    for selector, size in sizes.items():
        for written in (selector, f"{selector}@-1"):
            found = select(structure, written)
            assert len(found) == tiny.n_layers * size
            assert select(structure, "+".join(map(str, found))) == found
            assert select(structure, f"layers[1:].{written}") == found[size:]
    assert {str(c) for c in select(structure, "L1.heads.k")} == {f"L1H{i}.k" for i in range(n_kv)}


def test_latents_are_named_alone_and_in_groups(tiny):
    structure = model_structure(tiny.bridge("llama"), [zeros(), zeros("blocks.0.hook_mlp_out", m=3)])
    assert [str(c) for c in select(structure, "latents:4")] == ["L0S0:3", "L1S0:4", "L1S4:8", "L1S8:10"]
    assert [str(c) for c in select(structure, "L1S9+L0.latents@-1")] == ["L1S9", "L0S0@-1", "L0S1@-1", "L0S2@-1"]


@pytest.mark.parametrize(
    ("family", "selector", "message"),
    [
        (
            "llama",
            "L1H2.k",
            "layer 1 of tiny-llama has 2 key/value heads, H0 to H1, each of which serves 2 of its 4 query heads",
        ),
        ("llama", "L1H3.v@-1", "has 2 key/value heads, H0 to H1"),
        ("llama", "L1H4.q", "L1H4.q: layer 1 of tiny-llama has 4 queries, H0 to H3"),
        ("gpt2", "L1H4.k", "L1H4.k: layer 1 of tiny-gpt2 has 4 keys, H0 to H3"),
        ("llama", "L3A", "L3A: tiny-llama has 3 layers, L0 to L2"),
        ("llama", "L3R@-1", "L3R@-1: tiny-llama has 3 layers, L0 to L2"),
        ("llama", "L1E0", "L1E0: layer 1 of tiny-llama has no experts"),
        ("llama", "experts", "'experts': layer 0 of tiny-llama has no experts: its MLP is dense"),
        ("mixtral", "L1E4", "L1E4: layer 1 of tiny-mixtral has 4 experts, E0 to E3"),
        ("llama", "latents", "layer 0 of tiny-llama has no latents: give a sparse autoencoder"),
        ("llama", "L1S0", "L1S0: layer 1 of tiny-llama has no latents"),
        ("llama", "heads.x", "is neither a selector ('heads', 'heads.q', 'heads.k', 'heads.v', 'attns',"),
        ("llama", "heads.q:2", "only neurons, neurons of experts and latents come in groups"),
        ("llama", "residual", "is neither a selector"),
        ("llama", "heads.v+L1H0.v@-1", "L1H0.v and L1H0.v@-1 overlap"),
        ("llama", "attns+L1A@2", "L1A and L1A@2 overlap"),
        ("llama", "L1R@-1+L1R@2", "positions counted from the start and from the end are mixed"),
    ],
)
def test_wrong_selectors_get_one_clear_line(tiny, family, selector, message):
    with pytest.raises(ComponentError) as caught:
        select(model_structure(tiny.bridge(family)), selector)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_only_what_gates_the_same_activation_overlaps(tiny):
    structure = model_structure(tiny.bridge("llama"), zeros())
    every = "heads+heads.q+heads.k+heads.v+attns+mlps+neurons:16"
    assert len(select(structure, f"{every}+L1R+L1.latents")) == 3 * (4 + 4 + 2 + 2 + 1 + 1 + 3) + 1 + 10
    with pytest.raises(ComponentError, match=r"L1S0 and L2R@-1 gate the same activation \('blocks.2.hook_resid_pre'\)"):
        select(structure, "latents+residuals@-1")
    of_mlp = model_structure(tiny.bridge("llama"), zeros("blocks.1.mlp.hook_out"))
    with pytest.raises(ComponentError, match=r"L1M and L1S3 gate the same activation \('blocks.1.mlp.hook_out'\)"):
        select(of_mlp, "mlps+L1S3")
    with pytest.raises(ComponentError, match="L1S0:4 and L1S3 overlap; select each latent once"):
        select(structure, "L1S0:4+L1S3")


NAN = torch.full((10,), float("nan"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"decoder": torch.zeros(32, 10)},
            r"the decoder of the latents must have the shape \(10, 32\) to fit",
        ),
        (
            {"encoder": torch.zeros(32)},
            r"encoder of the latents must have the shape \(d_model, latents\), not \(32,\)",
        ),
        ({"encoder_bias": torch.zeros(9)}, r"the encoder bias of the latents must have the shape \(10,\)"),
        ({"decoder_bias": torch.zeros(10)}, r"the decoder bias of the latents must have the shape \(32,\)"),
        ({"encoder_bias": NAN}, "there are NaN or infinite numbers in the encoder bias of the latents"),
        ({"decoder": torch.full((10, 32), float("inf"))}, "NaN or infinite numbers in the decoder of the latents"),
        ({"encoder": torch.zeros(32, 10, dtype=torch.int64)}, "must be of floating-point numbers, not torch.int64"),
        ({"encoder": "weights.pt"}, "the encoder of the latents must be one tensor of numbers, not str"),
        ({"activation": "gelu"}, "unknown activation 'gelu' of latents; allowed: 'relu', 'topk:K'"),
        ({"activation": "topk:0"}, "unknown activation 'topk:0'"),
        ({"activation": "topk:11"}, "'topk:11': there are only 10 latents"),
        ({"activation": "jumprelu"}, "thresholds of latents go with the activation 'jumprelu'"),
        ({"thresholds": torch.zeros(10)}, "thresholds of latents go with the activation 'jumprelu'"),
        ({"activation": "jumprelu", "thresholds": NAN}, "NaN or infinite numbers in the thresholds"),
        ({"subtract_decoder_bias": True}, "subtract_decoder_bias needs the decoder_bias"),
        ({"hook": "hook_embed"}, "their hook is written like 'blocks.5.hook_resid_post', not 'hook_embed'"),
    ],
)
def test_tensors_that_are_no_autoencoder(options, message):
    with pytest.raises(ComponentError, match=message) as caught:
        zeros(**options)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("latents", "message"),
    [
        (zeros("blocks.1.hook_nothing"), "latents at 'blocks.1.hook_nothing': tiny-llama has no such hook"),
        (zeros("blocks.7.hook_resid_post"), "latents at 'blocks.7.hook_resid_post': tiny-llama has 3 layers, 0 to 2"),
        (zeros(d=16), "their encoder reads 16 numbers a token, and there the model has 32 numbers a token"),
        (zeros("blocks.1.mlp.hook_post"), "reads 32 numbers a token, and there the model has 48 numbers a token"),
        (zeros("blocks.1.hook_mlp_in"), r"latents at 'blocks.1.hook_mlp_in': .*set_use_hook_mlp_in\(True\)"),
        ([zeros(), zeros("blocks.1.hook_mlp_out")], "two sets of latents in layer 1 .* one a layer is allowed"),
        ("sae.safetensors", "latents must be circuitspex.Latents, or a list of them, not str"),
    ],
)
def test_latents_that_do_not_fit_the_model(tiny, latents, message):
    with pytest.raises(ComponentError, match=message) as caught:
        model_structure(tiny.bridge("llama"), latents)
    assert len(str(caught.value).splitlines()) == 1


def test_arrays_are_taken_and_hashed_like_tensors():
    rng = np.random.default_rng(0)
    encoder, decoder = rng.random((4, 3)), rng.random((3, 4))
    first = Latents("blocks.0.hook_resid_pre", encoder, decoder)
    again = Latents("blocks.0.hook_resid_pre", torch.tensor(encoder), torch.tensor(decoder.copy()))
    assert (first.layer, first.width, first.n_latents) == (0, 4, 3)
    assert first.identity == again.identity
    half = Latents("blocks.0.hook_resid_pre", torch.tensor(encoder).bfloat16(), torch.tensor(decoder).bfloat16())
    assert half.identity != first.identity


def test_a_router_that_does_not_follow_its_logits_is_told_apart(tiny, monkeypatch):
    """A router that chooses by something else than its logits has experts that can't be masked."""
    model = tiny.fresh_bridge("mixtral")
    inner = model.blocks[1].mlp.gate.original_component
    forward = type(inner).forward

    def stubborn(x: torch.Tensor) -> Any:
        logits, weights, indices = forward(inner, x)
        return logits, weights, torch.zeros_like(indices) + torch.arange(indices.shape[-1])

    monkeypatch.setattr(inner, "forward", stubborn)
    structure = model_structure(model)
    with pytest.raises(ComponentError, match="layer 1 of tiny-mixtral has experts whose router can't be masked"):
        select(structure, "L1E0")
    with pytest.raises(ComponentError, match="'experts': layer 1 of tiny-mixtral has experts whose router can't be m"):
        select(structure, "experts")  # and are not passed over
    assert len(select(structure, "L0.experts+L2.experts")) == 8


def test_a_router_that_nobody_hears_is_told_apart(tiny, monkeypatch, hooks_left):
    model = tiny.fresh_bridge("mixtral")
    block = model.blocks[1].mlp.original_component

    def deaf(hidden_states: torch.Tensor) -> torch.Tensor:
        block.gate(hidden_states.reshape(-1, hidden_states.shape[-1]))
        return hidden_states * 2

    monkeypatch.setattr(block, "forward", deaf)
    with pytest.raises(ComponentError, match="what it returns is not what its experts are given"):
        select(model_structure(model), "L1E0")
    assert hooks_left(model) == {}


def test_a_file_of_latents_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    first = Latents(
        "blocks.1.hook_mlp_out",
        rng.random((4, 3)),
        rng.random((3, 4)),
        decoder_bias=rng.random(4),
        activation="jumprelu",
        thresholds=rng.random(3),
        subtract_decoder_bias=True,
    )
    again = Latents.load(first.save(tmp_path / "sae.safetensors"))
    assert again.identity == first.identity
    plain = Latents("blocks.1.hook_mlp_out", first.encoder, first.decoder, activation="topk:2")
    assert Latents.load(plain.save(tmp_path / "plain.safetensors")).identity == plain.identity


def test_files_that_hold_no_latents(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "sae.safetensors"
    with pytest.raises(FileFormatError, match=r"sae\.safetensors: there is no such file"):
        Latents.load(path)
    path.write_bytes(b"not tensors at all")
    with pytest.raises(FileFormatError, match=r"sae\.safetensors: not a safetensors file, or damaged"):
        Latents.load(path)
    encoder, decoder = torch.zeros(4, 3), torch.zeros(3, 4)
    for tensors, said, message in (
        ({"W_enc": encoder, "decoder": decoder}, {}, r"has tensors of other names \(W_enc\); latents have encoder,"),
        ({"encoder": encoder}, {}, r"lacks tensors \(decoder\)"),
        ({"encoder": encoder, "decoder": decoder}, {}, "its metadata needs 'hook'"),
        (
            {"encoder": encoder, "decoder": encoder.clone()},
            {"hook": "blocks.1.hook_mlp_out"},
            "the decoder of the latents",
        ),
    ):
        save_file(tensors, path, metadata=said)
        with pytest.raises(UserError, match=message) as caught:
            Latents.load(path)
        assert str(caught.value).startswith(str(path))
        assert len(str(caught.value).splitlines()) == 1
