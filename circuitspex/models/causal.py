"""Which models are taken: causal language models whose code is part of transformers, told from the configuration.

The configuration is read before anything is loaded, so that what can't work is said at once. What a configuration does
not tell is found by running the model (``circuitspex.models.trial``).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from circuitspex.errors import ModelNotFoundError
from circuitspex.models.architecture import lens_name

BIDIRECTIONAL = "each position sees later ones, and the tasks here ask a causal model for its next token"


def read_config(source: str | Path, **options: Any) -> dict[str, Any]:
    """The fields of a ``config.json``, in a directory or on the hub; nothing of it is run."""
    from transformers import PretrainedConfig

    fields: dict[str, Any] = PretrainedConfig.get_config_dict(source, **options)[0]
    return fields


def check_config(fields: Mapping[str, Any], where: str) -> None:
    """Refuse what is no causal language model of transformers itself, or one that TransformerLens does not know.

    Args:
        fields: of its ``config.json``.
        where: the model came from, for the message.

    Raises:
        ModelNotFoundError: it needs code that comes with it, is quantised in an unknown way, has an encoder, is
            bidirectional, is no language model, or of a class that TransformerLens does not know.
    """
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        __version__,
    )
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    kind = fields.get("model_type")
    named = fields.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else str(kind)
    own_code = fields.get("auto_map")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        if own_code:
            raise ModelNotFoundError(_own_code(where, own_code))
        raise ModelNotFoundError(
            f"can't load {where}: its config.json "
            + (
                f"has model_type '{kind}', which transformers {__version__} does not know"
                if kind
                else "has no model_type"
            )
        )
    stored = fields.get("quantization_config")
    method = stored.get("quant_method") if isinstance(stored, Mapping) else None
    if method is not None and method not in AUTO_QUANTIZATION_CONFIG_MAPPING:
        raise ModelNotFoundError(
            f"can't load {where}: its weights are quantised by '{method}', "
            f"which transformers {__version__} does not know"
        )
    config = CONFIG_MAPPING[kind]
    masked = _classes(MODEL_FOR_MASKED_LM_MAPPING, config)
    both = _classes(MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, config)
    causal = _classes(MODEL_FOR_CAUSAL_LM_MAPPING, config)
    if architecture in both - causal or (both and not causal):
        raise ModelNotFoundError(
            f"{where} has an encoder and a decoder ({architecture}); only causal, decoder-only models are taken"
        )
    decodes = bool(fields.get("is_decoder", False))
    # BERT and its kin have one class for both ways, and this flag between them; decoders proper have no such flag.
    either = hasattr(config, "is_decoder") and bool(masked)
    if architecture in masked - causal or (masked and not causal) or (either and not decodes):
        raise ModelNotFoundError(f"{where} is bidirectional ({architecture}): {BIDIRECTIONAL}")
    if not causal:
        if own_code:
            raise ModelNotFoundError(_own_code(where, own_code))
        raise ModelNotFoundError(
            f"{where} is no causal language model: transformers {__version__} has none for {architecture}"
        )
    if not any(lens_name(name) for name in causal):
        raise ModelNotFoundError(
            f"can't take {where}: TransformerLens {version('transformer-lens')} has no {min(causal)}"
        )


def needs_own_code(error: Exception) -> bool:
    """Whether transformers refused because code that comes with a model would have to run."""
    text = str(error)
    return "trust_remote_code" in text or "contains custom code" in text


def _own_code(where: str, auto_map: Any) -> str:
    listed = auto_map.values() if isinstance(auto_map, Mapping) else [auto_map]
    files = sorted({str(one).split("--")[-1].split(".")[0] + ".py" for one in listed})
    return f"{where} needs code that comes with it ({', '.join(files)[:200]}), which is never run here"


def _classes(mapping: Any, config: type) -> set[str]:
    """The names of the classes that a mapping of transformers has for a configuration."""
    if config not in mapping:
        return set()
    found = mapping[config]
    return {one.__name__ for one in (found if isinstance(found, tuple) else (found,))}
