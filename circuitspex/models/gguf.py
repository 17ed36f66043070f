"""GGUF files as ordinary Hugging Face models, whatever their architecture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from circuitspex.errors import FileFormatError, ModelNotFoundError
from circuitspex.models.quiet import quiet_transformers
from circuitspex.models.tensors import check_tensors
from circuitspex.strict_json import check_regular

MAGIC = b"GGUF"


def read_gguf(path: Path, dtype: Any = None) -> tuple[Any, Any]:
    """The model and the tokenizer of a GGUF file; weights are dequantised to ``dtype`` (float32 by default).

    What GGUF loading leaves out is set: the configuration's ``architectures``. What it leaves behind is removed: the
    mark of a quantised model, which no longer holds and refuses saving.

    Raises:
        ModelNotFoundError: no GGUF file, a damaged one, or an architecture that transformers can't read, or a
            file that lacks tensors.
    """
    try:
        check_regular(path)
    except FileFormatError as error:
        raise ModelNotFoundError(f"{path}: {error}") from None
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise ModelNotFoundError(f"{path} is not a GGUF file (it does not begin with 'GGUF')")

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, name = str(path.parent), path.name
    try:
        with quiet_transformers():
            model, found = AutoModelForCausalLM.from_pretrained(
                folder,
                gguf_file=name,
                dtype=dtype or torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # check_tensors names them
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(
                folder, gguf_file=name, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # transformers and gguf raise many kinds on a damaged or unknown file
        reason = " ".join(str(error).split())[:200]
        raise ModelNotFoundError(
            f"can't read {path} ({os.path.getsize(path):,} bytes): {type(error).__name__}: {reason}"
        ) from error
    check_tensors(found, str(path), extra=False)  # the format has tensors of its own, such as rope_freqs
    model.config.architectures = [type(model).__name__]
    if getattr(model.config, "quantization_config", None) is not None:
        del model.config.quantization_config
    model.hf_quantizer = None
    return model, tokenizer
