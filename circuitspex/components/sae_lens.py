"""Autoencoders and transcoders of SAELens (version 6) as what ``Latents`` are made of.

A gated autoencoder (Rajamanoharan et al. 2024, "Improving Dictionary Learning with Gated Sparse Autoencoders", section
3.2) with tied encoders is one with thresholds: with ``p = x @ (W_enc * exp(r_mag)) + b_mag`` its gate
``x @ W_enc + b_gate > 0`` is ``p > b_mag - exp(r_mag) * b_gate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from circuitspex import strict_json
from circuitspex.components.tensor_file import read_tensors
from circuitspex.errors import ComponentError, FileFormatError

_CONFIG, _WEIGHTS = "cfg.json", "sae_weights.safetensors"
_SAES = ("standard", "topk", "jumprelu", "gated")
_TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
_ACROSS = ("batchtopk", "matryoshka_batchtopk")
"""Kinds in training that choose latents over a whole batch; saved for inference they are 'jumprelu'."""


def arguments(sae: Any, hook: str | None, output_hook: str | Sequence[str] | None) -> dict[str, Any]:
    """What ``Latents`` are made of; see ``Latents.from_sae_lens``."""
    import torch

    if isinstance(sae, str | Path):
        what, said, tensors = str(sae), *_read(Path(sae))
    else:
        what, said, tensors = f"this {type(sae).__name__}", *_of_object(sae)
    kind = said.get("architecture", "standard")
    _check(what, kind, said)
    metadata = said.get("metadata") or {}
    hook = _hook(hook, "hook", metadata.get("hook_name") or said.get("hook_name"), what)
    with torch.no_grad():
        found = _tensors(what, str(kind), said, tensors)
    if kind not in _TRANSCODERS:
        if output_hook is not None:
            raise ComponentError(f"{what} is an autoencoder ('{kind}'), which writes where it reads: no output_hook")
        return {"hook": hook, **found, "subtract_decoder_bias": bool(said.get("apply_b_dec_to_input", True))}
    if output_hook is None or isinstance(output_hook, str):
        output_hook = _hook(output_hook, "output_hook", metadata.get("hook_name_out"), what)
    return {"hook": hook, **found, "output_hook": output_hook}


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        said = strict_json.read(folder / _CONFIG)
    except FileFormatError as error:
        raise FileFormatError(f"{folder / _CONFIG}: {error}") from None
    if not isinstance(said, dict) or not isinstance(said.get("metadata", {}), dict):
        raise FileFormatError(f"{folder / _CONFIG}: no configuration of SAELens, which is a JSON object with metadata")
    return said, read_tensors(folder / _WEIGHTS)[1]


def _of_object(sae: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        said = dict(sae.cfg.to_dict())
        tensors = dict(sae.named_parameters())
        if not isinstance(said["metadata"], Mapping):
            said["metadata"] = said["metadata"].to_dict()
    except (AttributeError, TypeError, KeyError):
        raise ComponentError(
            f"from_sae_lens takes an autoencoder or transcoder of SAELens 6, or a folder with one, not {_a(sae)}"
        ) from None
    return said, tensors


def _a(given: Any) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__


def _check(what: str, kind: Any, said: Mapping[str, Any]) -> None:
    """Refuse what latents can't do."""
    if kind in _ACROSS:
        raise ComponentError(
            f"{what} ('{kind}') chooses its latents over a whole batch; save it for inference "
            "(save_inference_model), and give that folder"
        )
    if kind not in (*_SAES, *_TRANSCODERS):
        allowed = ", ".join((*_SAES, *_TRANSCODERS))
        raise ComponentError(f"{what} is of the architecture {strict_json.short(kind)}; latents can be {allowed}")
    normalised = said.get("normalize_activations", "none")
    if normalised in ("expected_average_only_in", "covariance_whitening"):
        fold = "norm_scaling_factor" if normalised == "expected_average_only_in" else "whitening"
        raise ComponentError(
            f"{what} reads activations that are scaled before ('{normalised}'); put that into its weights first: "
            f"sae.fold_activation_{fold}(…)"
        )
    if normalised not in ("none", None):
        raise ComponentError(
            f"{what} normalises the activations of each token ({strict_json.short(normalised)}), which latents don't"
        )
    loading = (said.get("metadata") or {}).get("model_from_pretrained_kwargs") or {}
    if changed := [name for name, value in loading.items() if value and name in _PROCESSED]:
        raise ComponentError(
            f"{what} was trained on a model whose weights were processed ({', '.join(sorted(changed))}); activations "
            "of the model as it is are others"
        )
    single = (said.get("metadata") or {}).get("hook_head_index", said.get("hook_head_index"))
    if single is not None:
        raise ComponentError(f"{what} reads head {single} alone; latents read a whole activation")
    if said.get("finetuning_scaling_factor"):
        raise ComponentError(f"{what} has a scaling factor from fine-tuning, which latents don't")
    if said.get("activation_fn_str", "relu") != "relu" or said.get("activation_fn", "relu") != "relu":
        raise ComponentError(f"{what} was saved by an old version of SAELens; load it there and save it again")


_PROCESSED = (
    "fold_ln",
    "center_writing_weights",
    "center_unembed",
    "fold_value_biases",
    "refactor_factored_attn_matrices",
)


def _hook(given: str | None, argument: str, own: object, what: str) -> str:
    """The hook that was given, or that the object names, if that means the same thing here as there."""
    if given is not None:
        return given
    if own is None:
        raise ComponentError(f"{what} does not say its hook; give one: from_sae_lens(…, {argument}='blocks.5.…')")
    own = f"{own}"
    layer = own.removeprefix("blocks.").partition(".")[0]
    if not own.startswith("blocks.") or not layer.isdigit():
        raise ComponentError(
            f"{what} is at {strict_json.short(own)}, which is no name of a hook in a layer; give the one that carries "
            f"the same activation: from_sae_lens(…, {argument}='blocks.5.…')"
        )
    if own.endswith("hook_normalized"):
        norm = own.removesuffix(".hook_normalized")
        raise ComponentError(
            f"{what} is at '{own}', which has the norm's own weights in some models and lacks them in others; say "
            f"{argument}='{norm}.hook_out' (with them) or '{own}' (without)"
        )
    return own


def _tensors(what: str, kind: str, said: Mapping[str, Any], tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of ``Latents``, copied, and the activation."""
    wanted = ["W_enc", "W_dec", "b_dec", *(["b_gate", "b_mag", "r_mag"] if kind == "gated" else ["b_enc"])]
    wanted += ["threshold"] if kind.startswith("jumprelu") else []
    if lacking := [name for name in wanted if name not in tensors]:
        raise ComponentError(f"{what} ('{kind}') lacks {', '.join(lacking)}")
    of = {name: tensors[name].detach().clone() for name in wanted}
    encoder, decoder = of["W_enc"], of["W_dec"]
    found: dict[str, Any] = {"encoder": encoder, "decoder": decoder, "decoder_bias": of["b_dec"]}
    if kind == "gated":
        scale = of["r_mag"].exp()
        return found | {
            "encoder": encoder * scale,
            "encoder_bias": of["b_mag"],
            "activation": "jumprelu",
            "thresholds": of["b_mag"] - scale * of["b_gate"],
        }
    found["encoder_bias"] = of["b_enc"]
    if kind == "topk":
        found["activation"] = f"topk:{said.get('k')}"
        if said.get("rescale_acts_by_decoder_norm"):
            norms = decoder.norm(dim=-1).clamp_min(1e-30)
            found |= {
                "encoder": encoder * norms,
                "encoder_bias": of["b_enc"] * norms,
                "decoder": decoder / norms[:, None],
            }
    if "threshold" in of:
        found |= {"activation": "jumprelu", "thresholds": of["threshold"]}
    return found
