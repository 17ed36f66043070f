"""The Hugging Face model and the tokenizer of a name, a directory or a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuitspex.errors import ModelNotFoundError, UserError
from circuitspex.models.catalogue import CATALOGUE, fetch
from circuitspex.models.causal import check_config, needs_own_code, read_config
from circuitspex.models.gguf import read_gguf
from circuitspex.models.quantization import check_not_quantized, mark_quantized, quantization_config
from circuitspex.models.quiet import quiet_transformers
from circuitspex.models.sources import is_offline, known_names, one_line
from circuitspex.models.tensors import check_tensors

if TYPE_CHECKING:
    import torch

_OWN_CODE = "needs code that comes with it, which is never run here"


@dataclass(frozen=True)
class Reading:
    """How the weights are to be held, and where."""

    dtype: torch.dtype
    device_map: str | dict[str, Any] | None = None
    quantization: str | None = None


def read_model(source: str | Path, revision: str | None, how: Reading) -> tuple[Any, Any]:
    """The Hugging Face model and its tokenizer, wherever they come from.

    Raises:
        ModelNotFoundError: they can't be read, or the model is refused.
        UserError: its weights are quantised already, and are to be quantised.
    """
    name, path = str(source), Path(source).expanduser()
    if name in CATALOGUE:
        return _from_folder(fetch(CATALOGUE[name], _say), how)
    if path.suffix == ".gguf" or path.is_file():
        return read_gguf(path, how.dtype)
    if path.is_dir():
        return _from_folder(path, how)
    return _from_hub(name, revision, how)


def _from_folder(folder: Path, how: Reading) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(f"{folder} holds no model: it has no config.json")
    try:
        model = _weights(folder, str(folder), how, local_files_only=True)
    except UserError:
        raise
    except Exception as error:
        raise ModelNotFoundError(f"can't load {folder}: {one_line(error)}") from error
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        if needs_own_code(error):
            raise ModelNotFoundError(f"the tokenizer in {folder} {_OWN_CODE}") from error
        if any(folder.glob("tokenizer*")):
            raise ModelNotFoundError(f"can't read the tokenizer in {folder}: {one_line(error)}") from error
        tokenizer = None  # usable with tasks given as tokens; asking for text names the lack
    return model, tokenizer


def _weights(source: str | Path, where: str, how: Reading, **options: Any) -> Any:
    """The Hugging Face model, all of whose weights are from safetensors files; none of its own code is run.

    Raises:
        ModelNotFoundError: it is refused; transformers raises others.
        UserError: its weights are quantised already, and are to be quantised.
    """
    from transformers import AutoModelForCausalLM

    with quiet_transformers():
        fields = read_config(source, **options)
        check_config(fields, where)
        check_not_quantized(fields, how.quantization, where)
        if how.quantization is not None:
            options["quantization_config"] = quantization_config(how.quantization, how.dtype)
        model, found = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=how.dtype,
            attn_implementation="eager",
            use_safetensors=True,
            trust_remote_code=False,
            device_map=how.device_map,
            ignore_mismatched_sizes=True,  # check_tensors names them
            output_loading_info=True,
            **options,
        )
    check_tensors(found, where)
    if how.quantization is not None:
        mark_quantized(model, how.quantization)
    return model


def _from_hub(name: str, revision: str | None, how: Reading) -> tuple[Any, Any]:
    offline = is_offline(name, revision)
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"revision": revision, "local_files_only": offline}
    try:
        with quiet_transformers():
            check_config(read_config(name, **options), f"'{name}'")
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **options)
        model = _weights(name, f"'{name}'", how, **options)
    except UserError:
        raise
    except Exception as error:
        if needs_own_code(error):
            raise ModelNotFoundError(f"the tokenizer of '{name}' {_OWN_CODE}") from error
        at = "" if revision is None else f" at revision '{revision}'"
        raise ModelNotFoundError(
            f"can't load '{name}'{at} from the Hugging Face hub: {one_line(error)}; {known_names()}"
        ) from error
    return model, tokenizer


_say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
