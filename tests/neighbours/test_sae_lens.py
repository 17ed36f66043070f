"""SAELens: an autoencoder or transcoder of it, or a folder that it saved, in place of ``Latents``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

sae_lens = pytest.importorskip("sae_lens")

from circuitspex.components import Latents  # noqa: E402
from circuitspex.errors import ComponentError  # noqa: E402

D, M = 12, 40
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "standard": ("StandardSAE", {}),
    "topk": ("TopKSAE", {"k": 6}),
    "topk, rescaled": ("TopKSAE", {"k": 6, "rescale_acts_by_decoder_norm": True}),
    "jumprelu": ("JumpReLUSAE", {}),
    "gated": ("GatedSAE", {}),
    "transcoder": ("Transcoder", {"d_out": 9}),
    "skip transcoder": ("SkipTranscoder", {"d_out": 9}),
    "jumprelu transcoder": ("JumpReLUTranscoder", {"d_out": 9}),
}


def made(kind: str, **fields: Any) -> Any:
    """An autoencoder of SAELens with random weights."""
    name, own = KINDS[kind]
    given: dict[str, Any] = {"d_in": D, "d_sae": M, **own, **fields}
    given.setdefault("apply_b_dec_to_input", "transcoder" not in kind)
    sae = getattr(sae_lens, name)(getattr(sae_lens, f"{name}Config")(**given))
    sae.cfg.metadata.hook_name = "blocks.3.mlp.hook_in" if "transcoder" in kind else "blocks.3.hook_resid_post"
    if "transcoder" in kind:
        sae.cfg.metadata.hook_name_out = "blocks.3.hook_mlp_out"
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for label, parameter in sae.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.3 * drawn.abs() if label == "threshold" else 0.4 * drawn)
    return sae.eval()


def check(latents: Latents, sae: Any) -> None:
    x = torch.randn(5, 11, D, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        wanted = sae.encode(x)
        torch.testing.assert_close(latents.encode(x), wanted, atol=1e-5, rtol=1e-5)
        assert 0.02 < float((wanted != 0).float().mean()) < 0.98
        torch.testing.assert_close(latents.decode(wanted), sae.decode(wanted), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("kind", ["standard", "topk", "topk, rescaled", "jumprelu", "gated"])
def test_autoencoders(kind: str, centred: bool, tmp_path: Path) -> None:
    """Latents and reconstructions of standard, top-k, JumpReLU and gated autoencoders are SAELens's, to 1e-5."""
    sae = made(kind, apply_b_dec_to_input=centred)
    latents = Latents.from_sae_lens(sae)
    assert (latents.hook, latents.output_hook) == ("blocks.3.hook_resid_post", None)
    check(latents, sae)
    sae.save_model(tmp_path)
    read = Latents.load(tmp_path)
    check(read, sae)
    assert read.identity == latents.identity


@pytest.mark.parametrize("kind", ["transcoder", "skip transcoder", "jumprelu transcoder"])
def test_transcoders(kind: str, tmp_path: Path) -> None:
    """Transcoders read and write where SAELens says, with its latents and reconstructions, to 1e-5."""
    sae = made(kind)
    latents = Latents.from_sae_lens(sae)
    assert (latents.hook, latents.output_hook) == ("blocks.3.mlp.hook_in", "blocks.3.hook_mlp_out")
    check(latents, sae)
    sae.save_model(tmp_path)
    check(Latents.load(tmp_path), sae)


def test_heads_side_by_side(tmp_path: Path) -> None:
    """An autoencoder of heads' outputs (`hook_z`) reads them side by side."""
    sae = made("standard", reshape_activations="none")
    sae.cfg.metadata.hook_name = "blocks.3.attn.hook_z"
    sae.cfg.reshape_activations = "hook_z"
    sae.turn_on_forward_pass_hook_z_reshaping()
    z = torch.randn(5, 7, 3, 4, generator=torch.Generator().manual_seed(8))
    latents = Latents.from_sae_lens(sae)
    with torch.no_grad():
        torch.testing.assert_close(latents.encode(z.flatten(2)), sae.encode(z), atol=1e-5, rtol=1e-5)


def test_trained_for_inference(tmp_path: Path) -> None:
    """A batch-top-k autoencoder in training is refused, and read as what it is saved as for inference."""
    config = sae_lens.BatchTopKTrainingSAEConfig(d_in=D, d_sae=M, k=5)
    sae = sae_lens.BatchTopKTrainingSAE(config)
    sae.cfg.metadata.hook_name = "blocks.3.hook_resid_post"
    with torch.no_grad():
        sae.topk_threshold.fill_(0.3)
        sae.W_enc.mul_(20)
    with pytest.raises(ComponentError, match="save it for inference"):
        Latents.from_sae_lens(sae)
    sae.save_inference_model(tmp_path)
    check(Latents.load(tmp_path), sae_lens.SAE.load_from_disk(tmp_path))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"normalize_activations": "layer_norm"}, "normalises the activations of each token"),
        ({"normalize_activations": "constant_norm_rescale"}, "normalises the activations of each token"),
        ({"normalize_activations": "expected_average_only_in"}, "fold_activation_norm_scaling_factor"),
    ],
)
def test_refusals(fields: dict[str, Any], words: str) -> None:
    """What latents can't do (activations normalised for each token) is refused in one line."""
    with pytest.raises(ComponentError, match=words) as caught:
        Latents.from_sae_lens(made("standard", **fields))
    assert len(str(caught.value).splitlines()) == 1


def test_every_architecture_is_read_or_refused() -> None:
    """Every architecture that SAELens registers is read, or refused in one line."""
    from sae_lens.registry import SAE_CLASS_REGISTRY

    known = {"standard", "topk", "jumprelu", "gated"}
    known |= {"transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder"}
    assert known <= set(SAE_CLASS_REGISTRY)
    for name in set(SAE_CLASS_REGISTRY) - known:
        sae = made("standard")
        said = sae.cfg.to_dict() | {"architecture": name}
        sae.cfg.to_dict = lambda said=said: said
        with pytest.raises(ComponentError, match=f"of the architecture '{name}'"):
            Latents.from_sae_lens(sae)
