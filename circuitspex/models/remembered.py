"""What was found out once about weights or files, kept in the user's cache folder so that no later start does it again.

Each finding is a file of its own under ``remembered/``. Its name is a hash of the facts that it depends on, which stand
in it too, with a checksum of what follows: one that is damaged, cut off or of other facts counts as none, and is
written anew. ``surroundings`` are among the facts, so that another version of a library, or a changed file of this
package, begins from nothing. ``$CIRCUITSPEX_REMEMBER=off`` switches it off; deleting the folder forgets everything.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circuitspex import strict_json
from circuitspex.errors import FileFormatError, UserError
from circuitspex.files import write_atomically
from circuitspex.installed import versions_of
from circuitspex.models.cache import cache_folder

FOLDER = "remembered"
Facts = Mapping[str, Any]
"""What a finding depends on, as JSON."""

_PACKAGES = ("circuitspex", "torch", "transformers", "transformer-lens", "tokenizers", "safetensors", "numpy")
_MOST_BYTES = 2**26
_ALL_BYTES, _ALL_FILES = 2**28, 400
_VARIABLES = ("CIRCUITSPEX_KERNELS", "TRITON_INTERPRET", "CUDA_VISIBLE_DEVICES")


def is_on() -> bool:
    """Whether anything is remembered.

    Raises:
        UserError: ``$CIRCUITSPEX_REMEMBER`` is something else than on or off.
    """
    wanted = os.environ.get("CIRCUITSPEX_REMEMBER", "on")
    if wanted not in ("on", "off"):
        raise UserError(f"CIRCUITSPEX_REMEMBER is '{wanted}'; allowed: on, off")
    return wanted == "on"


def recalled(kind: str, facts: Facts) -> bytes | None:
    """What was remembered under exactly these facts; None where nothing was, or what is there is damaged."""
    place = _place(kind, facts)
    if place is None:
        return None
    try:
        first, _, payload = strict_json.file_bytes(place[0], _MOST_BYTES).partition(b"\n")
    except FileFormatError:
        return None
    return payload if first == _first_line(place[1], payload) else None


def remember(kind: str, facts: Facts, payload: bytes) -> None:
    """Keep it under these facts; nothing where the folder can't be written to, or for more than 64 MiB."""
    place = _place(kind, facts)
    if place is None or len(payload) > _MOST_BYTES // 2:
        return
    with contextlib.suppress(UserError):  # a full disk costs the next start its time, and no more
        write_atomically(place[0], _first_line(place[1], payload) + b"\n" + payload)
        _drop_oldest(place[0].parent)


@functools.cache
def surroundings() -> dict[str, str]:
    """Versions of what computes, and a stamp of this package's own files, which change without a version."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "system": sys.platform}
    found |= versions_of(_PACKAGES)
    stamps = sorted(
        (str(path), about.st_size, about.st_mtime_ns)
        for path in Path(__file__).parents[1].rglob("*.py")
        for about in (path.stat(),)
    )
    return {**found, "files": hashlib.sha256(repr(stamps).encode()).hexdigest()}


def _place(kind: str, facts: Facts) -> tuple[Path, bytes] | None:
    """Where a finding lies, and the facts that its file begins with."""
    if not is_on():
        return None
    variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    told = json.dumps({"kind": kind, **facts, "surroundings": {**surroundings(), **variables}}, sort_keys=True).encode()
    try:
        folder = cache_folder() / FOLDER
    except UserError:
        return None
    return folder / f"{kind}-{hashlib.sha256(told).hexdigest()[:40]}", told


def _first_line(told: bytes, payload: bytes) -> bytes:
    return b"%b %b" % (hashlib.sha256(payload).hexdigest().encode(), told)


def _drop_oldest(folder: Path) -> None:
    """Of more findings than 400, or 256 MiB, those that were written first go, down to three quarters."""
    with contextlib.suppress(OSError):
        files = [
            (about.st_mtime_ns, about.st_size, each.path) for each in os.scandir(folder) for about in (each.stat(),)
        ]
        n_bytes, n_files = sum(size for _, size, _ in files), len(files)
        if n_bytes <= _ALL_BYTES and n_files <= _ALL_FILES:
            return
        for _, size, path in sorted(files):
            if n_bytes <= _ALL_BYTES * 3 // 4 and n_files <= _ALL_FILES * 3 // 4:
                break
            os.unlink(path)
            n_bytes, n_files = n_bytes - size, n_files - 1
