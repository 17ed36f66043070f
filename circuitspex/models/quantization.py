"""Weights of 8 or 4 bits: which package rounds them, how, and whether it is here.

Only the weights of linear maps are rounded, never activations: what a row of a batch gives depends on that row alone,
so masks that run together can't change each other. Embeddings, norms and the unembedding keep the dtype asked for,
in which all products are computed.

- ``8bit``: torchao, symmetric whole numbers with one scale for each output (``Int8WeightOnlyConfig``).
- ``4bit``: bitsandbytes, NF4 with one float32 scale for 64 weights (Dettmers et al. 2023, QLoRA, section 3).

The 8 bits of bitsandbytes round activations too, and choose the columns that are not rounded by all rows of a batch
(Dettmers et al. 2022, LLM.int8(), section 3.2); the 4 bits of torchao are for GPUs alone. Neither is offered.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import UserError

if TYPE_CHECKING:
    import torch


INSTALL = "pip install 'circuitspex[quantization]'"


@dataclass(frozen=True)
class _Quantization:
    """A way to hold weights in few bits.

    Attributes:
        package: does it.
        per_weight: bytes of a weight, with the scales that some weights share.
        per_output: bytes on top for each output of a linear map.
    """

    package: str
    per_weight: float
    per_output: float


QUANTIZATIONS = {
    "8bit": _Quantization("torchao", 1.0, 5.0),  # a float32 scale, and a zero point of one byte
    "4bit": _Quantization("bitsandbytes", 0.5 + 4 / 64, 0.0),
}

# The field of a configuration that says so; a part of the model's identity.
_FIELD = "weights_quantized"


def check_quantization(quantization: str | None, source: str | Path) -> None:
    """Nothing where these weights can be held so, here.

    Raises:
        UserError: no such quantization, its package is not installed, or it is not for weights of this kind.
    """
    if quantization is None:
        return
    if quantization not in QUANTIZATIONS:
        raise UserError(f"unknown quantization '{quantization}'; allowed: {', '.join(QUANTIZATIONS)}")
    package = QUANTIZATIONS[quantization].package
    for needed in (package, "accelerate"):
        if importlib.util.find_spec(needed) is None:
            raise UserError(f"quantization='{quantization}' needs {needed}, which is not installed: {INSTALL}")
    if Path(source).suffix == ".gguf":
        raise UserError(
            f"quantization='{quantization}' is not for GGUF files: {Path(source).name} is quantised already, and its "
            "weights are read as the dtype asked for"
        )


def check_not_quantized(fields: Mapping[str, Any], quantization: str | None, where: str) -> None:
    """Refuse to round weights again.

    Args:
        fields: of the model's ``config.json``.
        quantization: what is asked for.
        where: the model comes from, for the message.

    Raises:
        UserError: the files hold quantised weights already.
    """
    stored = fields.get("quantization_config")
    if quantization is not None and stored:
        method = stored.get("quant_method") if isinstance(stored, Mapping) else None
        raise UserError(
            f"the weights of {where} are quantised already (by {method or 'an unknown method'}); leave out "
            f"quantization='{quantization}'"
        )


def quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    """What transformers' ``from_pretrained`` takes as ``quantization_config``."""
    if quantization == "8bit":
        logging.getLogger("torchao").setLevel(logging.ERROR)  # it warns of each of its GPU libraries
        from torchao.quantization import Int8WeightOnlyConfig
        from transformers import TorchAoConfig

        return TorchAoConfig(Int8WeightOnlyConfig(version=2))
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def mark_quantized(model: Any, quantization: str) -> None:
    """Write into a Hugging Face model's configuration how its weights are held."""
    setattr(model.config, _FIELD, quantization)


def quantization_of(hf_model: Any) -> str | None:
    """How ``load_model`` quantised the weights of a Hugging Face model; None where it did not."""
    found = getattr(getattr(hf_model, "config", None), _FIELD, None)
    return found if isinstance(found, str) else None


def is_quantized(hf_model: Any) -> bool:
    """Whether any weights are of few bits, whoever rounded them."""

    if getattr(hf_model, "is_quantized", False) or quantization_of(hf_model) is not None:
        return True
    return any(not is_plain(each) or (not each.is_floating_point()) for each in hf_model.parameters())


def is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor is numbers alone, and not of a class that computes products in its own way."""
    import torch

    return type(tensor) in (torch.Tensor, torch.nn.Parameter)
