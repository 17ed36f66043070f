"""What the name of a model means, and what of it can be checked before any weights are read."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from circuitspex.errors import ModelNotFoundError, UserError
from circuitspex.models.adapters import adapter_at
from circuitspex.models.catalogue import CATALOGUE, folder_of
from circuitspex.models.quantization import check_quantization

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float64", "bfloat16", "float16")
DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")


def check_model(
    source: str | Path,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    quantization: str | None = None,
) -> None:
    """What ``load_model`` refuses before it reads any weights; the arguments are its own.

    Raises:
        ModelNotFoundError: no such file, a folder without a model, or a name that can't be looked for.
        UserError: an unknown device, dtype or quantization, or arguments that don't go together.
    """
    torch_dtype(dtype)
    check_quantization(quantization, source)
    check_device_map(device_map)
    name, path = str(source), Path(source).expanduser()
    if device_map is not None and (device is not None or path.suffix == ".gguf"):
        other = f"device='{device}'" if device is not None else f"the GGUF file {path.name}"
        raise UserError(f"device_map='{device_map}' can't go with {other}; it says itself where a model lies")
    if device_map is None:
        torch_device(device)
    if revision is not None and (name in CATALOGUE or path.exists()):
        raise UserError(f"revision='{revision}' is for models of the Hugging Face hub; {name} is local")
    if adapter := adapter_at(source):
        if revision is not None:
            raise UserError(f"revision='{revision}' is for models of the Hugging Face hub; {adapter.folder} is local")
        if quantization is not None:
            raise UserError(
                f"quantization='{quantization}' can't go with the adapter {adapter.folder}: merging it into quantised "
                "weights would round it; merge it, save the model, and quantise that"
            )
        check_model(adapter.base, device=device, dtype=dtype, revision=adapter.revision, device_map=device_map)
        return
    if name in CATALOGUE or path.is_file():
        return
    if path.suffix == ".gguf":
        raise ModelNotFoundError(f"no such file: {path}")
    if not path.is_dir():
        is_offline(name, revision)
    elif not (path / "config.json").is_file():
        raise ModelNotFoundError(f"{path} holds no model: it has no config.json")


def check_device_map(device_map: str | dict[str, Any] | None) -> None:
    """Nothing where weights can be spread so.

    Raises:
        UserError: an unknown device, or weights that would stay on disk.
    """
    import torch

    if device_map is None or (isinstance(device_map, str) and device_map in DEVICE_MAPS):
        return
    for place in {*device_map.values()} if isinstance(device_map, dict) else {device_map}:
        if place == "disk":
            raise UserError(f"device_map='{device_map}' leaves weights on disk; ablations need all of them in memory")
        try:
            torch_device(torch.device("cuda", place) if isinstance(place, int) else place)
        except UserError as error:
            raise UserError(
                f"device_map='{device_map}': {error}; allowed: {', '.join(DEVICE_MAPS)}, a device, or a dict from "
                "modules to devices"
            ) from error


def layers_of(source: str | Path, revision: str | None = None) -> int | None:
    """How many layers a model has, as its configuration says; None where that is not on this machine, or not said."""
    if adapter := adapter_at(source):
        source, revision = adapter.base, adapter.revision
    try:
        path = _config_of(str(source), Path(source).expanduser(), revision)
        fields = json.loads(path.read_bytes()) if path is not None else None
    except (OSError, ValueError):
        return None
    for about in (fields, fields.get("text_config")) if isinstance(fields, dict) else ():
        for key in ("num_hidden_layers", "n_layer", "n_layers", "num_layers"):
            if isinstance(about, dict) and isinstance(about.get(key), int) and about[key] > 0:
                return int(about[key])
    return None


def _config_of(name: str, path: Path, revision: str | None) -> Path | None:
    if name in CATALOGUE:
        return folder_of(CATALOGUE[name]) / "config.json"
    if path.exists():
        return path / "config.json" if path.is_dir() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(found) if isinstance(found, str) else None


def is_offline(name: str, revision: str | None) -> bool:
    """Whether only the cache can be looked at for a name on the hub.

    Raises:
        ModelNotFoundError: no model has such a name, or it is not in the cache and the hub can't be reached.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        base, at, after = name.partition("@")
        hint = f"a revision is given by itself: '{base}' and revision '{after}'; " if at and base and after else ""
        raise ModelNotFoundError(
            f"'{name[:100]}' is neither a file, a directory nor a model name; {hint}{known_names()}"
        ) from None

    cached = isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str)
    offline = constants.HF_HUB_OFFLINE or not reachable(constants.ENDPOINT)
    if offline and not cached:
        raise ModelNotFoundError(
            f"'{name}' is not in the offline catalogue, and the Hugging Face hub can't be reached to look for it "
            f"(no network, or offline mode); {known_names()}"
        )
    return offline


def known_names() -> str:
    """What models may be given, for messages."""
    return f"offline models: {', '.join(CATALOGUE)}; or give a directory or a .gguf file"


def reachable(endpoint: str) -> bool:
    """Whether the host's name resolves; asked first because the hub's client retries for half a minute."""
    if any(os.environ.get(key) for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    try:
        socket.getaddrinfo(urlsplit(endpoint).hostname, 443)
    except OSError:
        return False
    return True


def torch_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """The dtype of that name; UserError where there is none for weights."""
    import torch

    if dtype is None:
        return torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or str(found).removeprefix("torch.") not in DTYPES:
        raise UserError(f"unknown dtype '{dtype}'; allowed: {', '.join(DTYPES)}")
    return found


def torch_device(device: str | torch.device | None) -> torch.device:
    """The device of that name, tried; by default the GPU if there is one. UserError where it can not be used."""
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{device}' can't be used here: {one_line(error)}") from error
    return found


def one_line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:300]
