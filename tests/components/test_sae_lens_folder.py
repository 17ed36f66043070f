"""Folders that SAELens's ``save_model`` writes, made here by hand; SAELens itself is asked in ``tests/neighbours``."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from circuitspex import Latents
from circuitspex.errors import ComponentError, FileFormatError

D, M = 8, 24
RESIDUAL = {"hook_name": "blocks.1.hook_resid_pre"}
BOTH = {"hook_name": "blocks.1.mlp.hook_in", "hook_name_out": "blocks.1.hook_mlp_out"}


def tensors_of(architecture: str, d_out: int = D) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    found = {"W_enc": draw(D, M), "W_dec": draw(M, d_out), "b_dec": draw(d_out)}
    if architecture == "gated":
        return found | {"b_gate": draw(M), "b_mag": draw(M), "r_mag": draw(M)}
    found["b_enc"] = draw(M)
    return found | ({"threshold": draw(M).abs()} if architecture.startswith("jumprelu") else {})


def folder(path: Path, architecture: str = "standard", metadata: Any = None, **said: Any) -> Path:
    """As ``save_model`` writes it."""
    path.mkdir(exist_ok=True)
    config = {
        "d_in": D,
        "d_sae": M,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": "transcoder" not in architecture,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": (BOTH if "transcoder" in architecture else RESIDUAL) if metadata is None else metadata,
        "architecture": architecture,
    }
    (path / "cfg.json").write_text(json.dumps(config | said))
    save_file(tensors_of(architecture), path / "sae_weights.safetensors")
    return path


def encoded(architecture: str, x: torch.Tensor, centred: bool, k: int = 5, rescaled: bool = False) -> torch.Tensor:
    """As SAELens defines it."""
    of = tensors_of(architecture)
    x = x - of["b_dec"] if centred else x
    if architecture == "gated":
        gate = x @ of["W_enc"] + of["b_gate"] > 0
        return gate * (x @ (of["W_enc"] * of["r_mag"].exp()) + of["b_mag"]).relu()
    before = x @ of["W_enc"] + of["b_enc"]
    if architecture == "topk":
        before = before * of["W_dec"].norm(dim=-1) if rescaled else before
        return torch.where(before >= before.topk(k).values[..., -1:], before.relu(), 0.0)
    if "threshold" in of:
        return before.relu() * (before > of["threshold"])
    return before.relu()


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        ("standard", {}),
        ("topk", {"k": 5}),
        ("topk", {"k": 5, "rescale_acts_by_decoder_norm": True}),
        ("jumprelu", {}),
        ("gated", {}),
    ],
)
def test_latents_and_reconstructions_are_those_of_the_definition(tmp_path, architecture, said, centred):
    latents = Latents.load(folder(tmp_path, architecture, apply_b_dec_to_input=centred, **said))
    assert (latents.hook, latents.output_hook) == ("blocks.1.hook_resid_pre", None)
    x = torch.randn(4, 7, D, generator=torch.Generator().manual_seed(2))
    rescaled = bool(said.get("rescale_acts_by_decoder_norm"))
    wanted = encoded(architecture, x, centred, rescaled=rescaled)
    assert 0.05 < float((wanted > 0).float().mean()) < 0.9
    torch.testing.assert_close(latents.encode(x), wanted, atol=1e-5, rtol=1e-5)
    of = tensors_of(architecture)
    written = (wanted / of["W_dec"].norm(dim=-1) if rescaled else wanted) @ of["W_dec"] + of["b_dec"]
    torch.testing.assert_close(latents.decode(wanted), written, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["transcoder", "jumprelu_transcoder", "skip_transcoder"])
def test_transcoders_read_and_write_where_they_say(tmp_path, architecture):
    latents = Latents.from_sae_lens(folder(tmp_path, architecture))
    assert (latents.hook, latents.output_hook) == (BOTH["hook_name"], BOTH["hook_name_out"])
    x = torch.randn(4, D, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(latents.encode(x), encoded(architecture, x, False), atol=1e-5, rtol=1e-5)
    other = Latents.from_sae_lens(tmp_path, hook="blocks.2.mlp.hook_in", output_hook="blocks.3.hook_mlp_out")
    assert (other.hook, other.output_hook) == ("blocks.2.mlp.hook_in", "blocks.3.hook_mlp_out")


REFUSED = {
    r"of the architecture 'temporal'; latents can be standard, topk": ("temporal", {}),
    r"'batchtopk'\) chooses its latents over a whole batch": ("batchtopk", {}),
    r"normalises the activations of each token \('layer_norm'\)": ("standard", {"normalize_activations": "layer_norm"}),
    r"fold_activation_norm_scaling_factor": ("standard", {"normalize_activations": "expected_average_only_in"}),
    r"fold_activation_whitening": ("standard", {"normalize_activations": "covariance_whitening"}),
    r"does not say its hook; give one: from_sae_lens\(…, hook=": ("standard", {"metadata": {}}),
    r"does not say its hook; give one: from_sae_lens\(…, output_hook=": ("transcoder", {"metadata": RESIDUAL}),
    r"is at 'model.layers.3', which is no name of a hook": ("standard", {"metadata": {"hook_name": "model.layers.3"}}),
    r"hook='blocks.1.ln2.hook_out' \(with them\)": (
        "standard",
        {"metadata": {"hook_name": "blocks.1.ln2.hook_normalized"}},
    ),
    r"reads head 3 alone": ("standard", {"metadata": {**RESIDUAL, "hook_head_index": 3}}),
    r"weights were processed \(center_writing_weights\)": (
        "standard",
        {"metadata": {**RESIDUAL, "model_from_pretrained_kwargs": {"center_writing_weights": True}}},
    ),
    r"has a scaling factor from fine-tuning": ("standard", {"finetuning_scaling_factor": True}),
    r"saved by an old version of SAELens": ("standard", {"activation_fn_str": "topk"}),
    r"unknown activation 'topk:None'": ("topk", {}),
}


@pytest.mark.parametrize(("words", "given"), REFUSED.items())
def test_what_latents_can_not_do_is_refused_in_one_line(tmp_path, words, given):
    architecture, said = given
    with pytest.raises(ComponentError, match=words) as caught:
        Latents.from_sae_lens(folder(tmp_path, architecture, **said))
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_none_of_saelens_is_refused_in_one_line(tmp_path):
    cases: list[tuple[Any, str]] = [
        (tmp_path / "nothing", "cfg.json: there is no such file"),
        (object(), "takes an autoencoder or transcoder of SAELens 6, or a folder with one, not object"),
        (torch.nn.Linear, "not the class Linear"),
        (SimpleNamespace(cfg=SimpleNamespace(to_dict=dict)), "not SimpleNamespace"),
    ]
    for given, words in cases:
        with pytest.raises((ComponentError, FileFormatError), match=words) as caught:
            Latents.from_sae_lens(given)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(ComponentError, match=r"is an autoencoder .* no output_hook"):
        Latents.from_sae_lens(folder(tmp_path), output_hook="blocks.1.hook_mlp_out")
    tensors = tensors_of("standard")
    del tensors["b_enc"]
    save_file(tensors, tmp_path / "sae_weights.safetensors")
    with pytest.raises(ComponentError, match="lacks b_enc"):
        Latents.load(tmp_path)
    (tmp_path / "cfg.json").write_text("[1, 2]")
    with pytest.raises(FileFormatError, match="no configuration of SAELens"):
        Latents.load(tmp_path)
    (tmp_path / "cfg.json").write_text("{")
    with pytest.raises(FileFormatError, match=r"cfg.json: not JSON"):
        Latents.load(tmp_path)


def test_tensors_are_copies(tmp_path):
    folder(tmp_path, "standard")
    latents = Latents.from_sae_lens(tmp_path)
    before = latents.identity
    said = json.loads((tmp_path / "cfg.json").read_text())
    module = torch.nn.ParameterDict({name: value.clone() for name, value in tensors_of("standard").items()})
    sae = SimpleNamespace(cfg=SimpleNamespace(to_dict=lambda: said), named_parameters=module.named_parameters)
    given = Latents.from_sae_lens(sae)
    assert given.identity == before
    with torch.no_grad():
        module["W_enc"].zero_()
    assert given.identity == before
