"""What the headers of a model's files say of its tensors: names, dtypes, shapes; no weights are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from circuitspex.models.adapters import adapter_at
from circuitspex.models.catalogue import CATALOGUE, folder_of

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "U64": 8, "I32": 4, "U32": 4}
_BYTES |= {"I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_FLOATS = ("F64", "F32", "F16", "BF16")
_LONGEST = 100 * 2**20  # of a header, in bytes, as safetensors itself has it


@dataclass(frozen=True)
class Stored:
    """A tensor in a file."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def n_numbers(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Bytes in the file."""
        return self.n_numbers * _BYTES.get(self.dtype, 2)

    @property
    def is_float(self) -> bool:
        """Whether it is read as the dtype that is asked for."""
        return self.dtype in _FLOATS


def stored_tensors(source: str | Path, revision: str | None = None) -> list[Stored] | None:
    """All tensors of a model's safetensors files, on this machine or on the hub; None where that can't be told.

    Of an adapter these are its base's.
    """
    if adapter := adapter_at(source):
        source, revision = adapter.base, adapter.revision
    try:
        folder = _folder_of(str(source), Path(source).expanduser(), revision)
        if folder is not None:
            return [tensor for file in _files(folder) for tensor in _header(file)] or None
        return None if Path(source).expanduser().exists() else _on_the_hub(str(source), revision)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # damaged files are named by what reads them


def config_fields(source: str | Path, revision: str | None = None) -> dict[str, Any]:
    """The fields of the model's ``config.json``; none where it is not on this machine, or damaged."""
    if adapter := adapter_at(source):
        source, revision = adapter.base, adapter.revision
    try:
        folder = _folder_of(str(source), Path(source).expanduser(), revision)
        fields = None if folder is None else json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _folder_of(name: str, path: Path, revision: str | None) -> Path | None:
    if name in CATALOGUE:
        folder = folder_of(CATALOGUE[name])
        return folder if folder.is_dir() else None
    if path.exists():
        return path if path.is_dir() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", revision=revision)
    cached = Path(found).parent if isinstance(found, str) else None
    return cached if cached is not None and any(cached.glob("*.safetensors")) else None


def _files(folder: Path) -> list[Path]:
    """The files that transformers reads: one, or those of the index."""
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    index = json.loads((folder / "model.safetensors.index.json").read_bytes())
    return [folder / name for name in sorted(set(index["weight_map"].values()))]


def _header(file: Path) -> Iterator[Stored]:
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LONGEST:
            raise ValueError("no header of safetensors")
        fields = json.loads(opened.read(length))
    for name, about in fields.items():
        if name != "__metadata__":
            yield Stored(name, str(about["dtype"]), tuple(int(size) for size in about["shape"]))


def _on_the_hub(name: str, revision: str | None) -> list[Stored] | None:
    """From the headers on the hub, of which the first bytes are read alone."""
    from huggingface_hub import constants, get_safetensors_metadata

    from circuitspex.models.sources import reachable

    if constants.HF_HUB_OFFLINE or not reachable(constants.ENDPOINT):
        return None
    try:
        about = get_safetensors_metadata(name, revision=revision)
    except Exception:  # no such model, no safetensors, no access: named when the model is read
        return None
    return [
        Stored(tensor, str(each.dtype), tuple(each.shape))
        for file in about.files_metadata.values()
        for tensor, each in file.tensors.items()
    ]
