"""Latents in a safetensors file: the tensors by their names, and the hook and the activation as its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitspex.components.latents import Latents
from circuitspex.errors import ComponentError, FileFormatError
from circuitspex.files import write_atomically

_TENSORS = ("encoder", "decoder", "encoder_bias", "decoder_bias", "thresholds")


def write_latents(latents: Latents, path: str | Path) -> Path:
    """Write a file that ``read_latents`` and the command line read; whole or not at all.

    Raises:
        UserError: the path can't be written.
    """
    from safetensors.torch import save

    tensors = {name: getattr(latents, name) for name in _TENSORS if getattr(latents, name) is not None}
    said = {"hook": latents.hook, "activation": latents.activation}
    if latents.subtract_decoder_bias:
        said["subtract_decoder_bias"] = "true"
    data = save({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, said)
    return write_atomically(Path(path), data)


def read_latents(path: str | Path) -> Latents:
    """Read latents from a safetensors file.

    Its tensors are named as the arguments of ``Latents``, and its metadata has 'hook' and, where they are not the
    usual ones, 'activation' and 'subtract_decoder_bias' ('true').

    Raises:
        FileFormatError: the file is missing or damaged, or something is missing in it.
        ComponentError: what it says is no sparse autoencoder.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            said: dict[str, str] = file.metadata() or {}
            found: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise FileFormatError(f"{path}: there is no such file") from None
    except (OSError, SafetensorError) as error:
        why = " ".join(str(error).split())[:120]
        raise FileFormatError(f"{path}: not a safetensors file, or damaged ({why})") from None
    unknown = sorted(set(found) - set(_TENSORS))
    missing = [name for name in ("encoder", "decoder") if name not in found]
    if unknown or missing:
        names = ", ".join(unknown[:6] or missing)
        problem = "has tensors of other names" if unknown else "lacks tensors"
        raise FileFormatError(
            f"{path}: {problem} ({names}); latents have {', '.join(_TENSORS)}, of which the first two are needed"
        )
    if "hook" not in said:
        raise FileFormatError(f"{path}: its metadata needs 'hook', such as 'blocks.5.hook_resid_post'")
    try:
        return Latents(
            said["hook"],
            **found,
            activation=said.get("activation", "relu"),
            subtract_decoder_bias=said.get("subtract_decoder_bias", "false").lower() == "true",
        )
    except ComponentError as error:
        raise ComponentError(f"{path}: {error}") from None
