"""Safetensors files that others wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitspex.errors import FileFormatError
from circuitspex.strict_json import check_regular


def read_tensors(path: str | Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The metadata and the tensors of a safetensors file.

    Raises:
        FileFormatError: it is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    try:
        with safe_open(str(path), framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        why = " ".join(str(error).split())[:120]
        raise FileFormatError(f"{path}: not a safetensors file, or damaged ({why})") from None
