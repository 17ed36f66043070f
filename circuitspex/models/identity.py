"""Which model this is: a hash over its weights and configuration."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from weakref import WeakKeyDictionary

from circuitspex.models.protocol import Model

WeightVersions = tuple[tuple[int, int], ...]
_known: WeakKeyDictionary[Any, tuple[WeightVersions, str]] = WeakKeyDictionary()

# Fields of a configuration that say where it came from or how it was read, not what the model computes.
_VOLATILE = {"_name_or_path", "transformers_version", "architectures", "quantization_config", "dtype", "torch_dtype"}
_VOLATILE |= {"_attn_implementation_autoset", "use_cache", "name_or_path"}


def model_identity(model: Model) -> str:
    """SHA-256, in hexadecimal, over the model's weights (in the dtype they have) and configuration.

    The names of parameters don't count, only their order, so a model saved again from what was loaded is the same model
    (a GGUF file and the directory it was made from may differ in rounded settings, and so in identity). For a model
    from ``load_model`` the hash is taken before TransformerLens wraps it. It is computed again when a weight was
    written to, as an optimiser does; a write through ``parameter.data`` leaves no trace: ``forget_identity`` after it.
    """
    versions = weight_versions(model)
    if model not in _known or _known[model][0] != versions:
        _known[model] = versions, weights_hash(getattr(model, "original_model", model))
    return _known[model][1]


def remember_identity(model: Model, identity: str) -> None:
    """Record the identity of a model object."""
    _known[model] = weight_versions(model), identity


def forget_identity(model: Model) -> None:
    """Forget what was computed for this object; the next ``model_identity`` hashes it again."""
    _known.pop(model, None)


def weight_versions(model: Model) -> WeightVersions:
    """Where each weight is and how often it was written to; another value means that weights have changed."""
    return tuple((parameter.data_ptr(), parameter._version) for parameter in model.parameters())


def weights_hash(hf_model: Any) -> str:
    """The hash itself, for a Hugging Face model."""
    import torch

    tensors = []
    for parameter in hf_model.parameters():  # tied weights come once
        data = parameter.detach().to("cpu").contiguous()
        digest = hashlib.sha256(f"{tuple(data.shape)} {data.dtype}".encode())
        digest.update(memoryview(data.flatten().view(torch.uint8).numpy()))
        tensors.append(digest.hexdigest())
    config = getattr(hf_model, "config", None)
    fields: dict[str, Any] = {} if config is None else config.to_dict()
    kept = {key: value for key, value in fields.items() if key not in _VOLATILE}
    # In the order of the model's own code: sorted, two models with layers in another order would pass for the same.
    text = json.dumps([kept, tensors], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
