"""Where downloaded models are kept: the user's cache folder, never the repository."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from circuitspex.errors import UserError


def cache_folder() -> Path:
    """``$CIRCUITSPEX_CACHE``, else ``$XDG_CACHE_HOME/circuitspex``, else ``~/.cache/circuitspex``; made if missing.

    Raises:
        UserError: the folder can't be made or written to.
    """
    own = os.environ.get("CIRCUITSPEX_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "circuitspex"
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"can't make the cache folder {base} ({error.strerror}); set CIRCUITSPEX_CACHE to a folder that is writable"
        ) from error
    if not os.access(base, os.W_OK):
        raise UserError(f"the cache folder {base} is not writable; set CIRCUITSPEX_CACHE to a folder that is writable")
    return base


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
