"""Opening the file of a store: sound, of a known version, and ours; a damaged one is set aside."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import warnings
from pathlib import Path

from circuitspex.errors import FileFormatError, UserError

SCHEMA = 1
_APPLICATION = 0x63737078  # "cspx", in the header of every store
_HEADER = b"SQLite format 3\x00"
_SUFFIXES = (".sqlite", ".sqlite3", ".db")  # what else ends so was a database, and has lost its first bytes
_LOOKED_THROUGH = 64 * 2**20  # bytes; larger files are not read from end to end each time they are opened

_TABLES = """
CREATE TABLE games (
  id INTEGER PRIMARY KEY,
  identity TEXT NOT NULL UNIQUE,
  facts TEXT NOT NULL,
  used REAL NOT NULL
);
CREATE TABLE ablations (
  game INTEGER NOT NULL REFERENCES games (id) ON DELETE CASCADE,
  key BLOB NOT NULL,
  gates BLOB NOT NULL,
  per_prompt BLOB NOT NULL,
  gradient BLOB,
  checksum BLOB NOT NULL,
  PRIMARY KEY (game, key)
) WITHOUT ROWID;
"""


_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


class UnwritableStoreError(UserError):
    """A new store where nothing can be written; the path itself is no mistake."""


def open_store(path: Path) -> sqlite3.Connection:
    """A connection to the store at ``path``, which is made where there is none.

    A store that is damaged is renamed, named in a warning, and replaced by an empty one. A file that is no database and
    is not named as one may be anything of the user's, and is left alone.

    Raises:
        FileFormatError: the file is no store, is of a newer version, or is another program's database.
        UnwritableStoreError: there is none, and the disk is full or may not be written to.
        UserError: the path can't be that of a store.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = UnwritableStoreError if error.errno in _READ_ONLY else UserError
        raise kind(f"can't make the folder of the store {path}: {error.strerror}") from error
    if path.is_dir():
        raise UserError(f"the store {path} is a folder; a file name is needed")
    try:
        if path.suffix.lower() not in _SUFFIXES:
            check_is_store(path)
        why = None if not path.exists() or path.stat().st_size == 0 else _damage(path)
        if why is not None:
            _set_aside(path, why)
        return _connect(path)
    except (sqlite3.Error, OSError) as error:
        new = not path.exists() or not path.stat().st_size
        kind = UnwritableStoreError if new and not os.access(path.parent, os.W_OK) else UserError
        raise kind(f"can't open the store {path}: {error}") from error


def check_is_store(path: Path) -> None:
    """Refuse a file that is no store, and leave it as it is.

    Raises:
        FileFormatError: it is no SQLite file.
    """
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise FileFormatError(
                    f"{path} is no store of finished ablations (not an SQLite file), and is left as it is; name another"
                )


def _connect(path: Path) -> sqlite3.Connection:
    # Other processes may be writing: wait for them rather than fail.
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    with contextlib.suppress(sqlite3.OperationalError):  # where the file system can't, the usual journal does
        connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={SCHEMA}")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection):  # type: ignore[no-untyped-def]
    """All of it or nothing of it; others that want to write wait."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:  # an interruption too: nothing half written stays, and it goes on up
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _damage(path: Path) -> str | None:
    """What is wrong with the file, or None."""
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            return "it is not an SQLite file"
    connection = sqlite3.connect(path, timeout=60)
    try:
        application, version = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if application != _APPLICATION and tables:
            raise FileFormatError(f"{path} is the database of another program; name another file for the store")
        if version > SCHEMA:
            raise FileFormatError(
                f"{path} was written by a newer circuitspex (store version {version}, this one reads up to {SCHEMA}); "
                "update circuitspex, or name another file"
            )
        if tables and version < SCHEMA:
            return "it has lost its version"
        if missing := sorted({"ablations", "games"} - tables) if version else []:
            return f"its table {missing[0]} is missing"
        if path.stat().st_size > _LOOKED_THROUGH:
            return None  # each row has a checksum, which is looked at when the row is read
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        return None if found == "ok" else f"its check failed: {' '.join(str(found).split())[:120]}"
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            return None
        return str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()


def _set_aside(path: Path, why: str) -> None:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for extra in ("-wal", "-shm"):  # they belong to the damaged file and would be applied to the new one
        beside = path.with_name(path.name + extra)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + extra))
    warnings.warn(
        f"the store {path} is damaged ({why}); it was renamed to {aside.name} and a new one begun", stacklevel=4
    )
