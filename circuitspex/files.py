"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from circuitspex.errors import UserError

T = TypeVar("T")


def write_atomically(path: Path, data: bytes) -> Path:
    """Write ``data`` to ``path``, making parent folders as needed, and give the path.

    The data goes to a temporary file in the same folder which then replaces ``path``, so that a reader never sees half
    a file and an interrupted write leaves what was there before.

    Raises:
        UserError: the folder can't be made or written to.
    """
    target = Path(os.path.realpath(path))  # through a link, so that the link itself stays
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder; a file name is needed")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror or error}") from error
    return path


def file_writer(render: Callable[[T], str | bytes]) -> Callable[[T, Path], Path]:
    """What writes a result to a path as the file that ``render`` makes of it; text as UTF-8."""

    def write(result: T, path: Path) -> Path:
        data = render(result)
        return write_atomically(path, data.encode("utf-8", "replace") if isinstance(data, str) else data)

    return write
