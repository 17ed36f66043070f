"""Checksums of files, computed once for each state of a file: as long as its stamp stays, its bytes are taken to.

A stamp is where a file is, its size, when it was last changed, in nanoseconds, and its place on the disk. A file system
may give two changes within a moment the same time, so a file that changed less than a few seconds before it was read is
not remembered, as in ``git`` (its "racy" entries); nor is one whose stamp moved while it was read.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from circuitspex.models.cache import sha256_of
from circuitspex.models.remembered import recalled, remember

SETTLED = 5.0
"""Seconds after which a change can be told from the one before by its time."""

Stamp = dict[str, str | int]


def stamp_of(path: Path) -> Stamp:
    """What changes whenever a file does."""
    about = os.stat(path)
    return {
        "path": os.path.realpath(path),
        "size": about.st_size,
        "changed": about.st_mtime_ns,
        "status_changed": about.st_ctime_ns,  # which no program can set back
        "inode": about.st_ino,
        "device": about.st_dev,
    }


def is_settled(stamp: Stamp) -> bool:
    """Whether a later change would have another time; a time in the future can't be relied on."""
    latest = max(int(stamp["changed"]), int(stamp["status_changed"])) / 1e9
    return latest < time.time() - SETTLED


def checksum_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal: read anew, or what it was when the file was as it is."""
    before = stamp_of(path)
    facts = {"stamp": before}
    if is_settled(before) and (found := recalled("checksum", facts)) is not None:
        return found.decode()
    digest = sha256_of(path)
    if is_settled(before) and stamp_of(path) == before:
        remember("checksum", facts, digest.encode())
    return digest
