"""Finished ablations, kept in one SQLite file, so that no ablation is ever run twice.

A value belongs to a game: the same weights, task, components, baseline, dtype, executor and precision. Whatever changes
one of these changes the game's identity, and nothing kept under another identity is used. Each chunk of ablations is
written in one transaction as it is finished; each row carries a checksum, and a row that fails it is run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from circuitspex.ablation.store.file import UnwritableStoreError, open_store, transaction
from circuitspex.errors import FileFormatError, UserError
from circuitspex.half_precision import HALF_FROM, HalfMatrix
from circuitspex.models.cache import cache_folder
from circuitspex.typing import FloatArray, Gradients, Masks, PerPrompt

# Counted up whenever the engine gives other values for the same game; kept values of before are then not used.
VALUES_VERSION = 1
_AT_ONCE = 500  # keys in one query; SQLite's own limit is higher on every build

Facts = Mapping[str, Any]
_Row = tuple[FloatArray, FloatArray | None]


@dataclass(frozen=True)
class StoredGame:
    """One game of a store: its identity, what it was (``facts``), and what is kept of it."""

    identity: str
    facts: Facts
    n_ablations: int
    n_gradients: int
    n_bytes: int
    used: float


def store_at(where: Store | str | Path | None) -> Store | None:
    """A store from what a caller may say: None or 'off' for none, 'auto' for the user's own, a path, or a store.

    ``$CIRCUITSPEX_STORE`` (a path, or 'off') says what 'auto' is; without it, ``runs.sqlite`` in the cache folder.
    Where that can't be written to, there is a warning and no store; and where a path was named at which there is none
    yet and the disk is full or read-only.

    Raises:
        UserError: the path that was named can't be that of a store.
    """
    if isinstance(where, Store):
        return where
    if where is not None and not isinstance(where, str | Path):
        raise UserError(f"a store is a path, 'auto', 'off', or a Store, not {str(where)[:40]!r}")
    if where != "auto":
        try:
            return None if where is None or where == "off" else Store(where)
        except UnwritableStoreError as error:
            _without(error)
            return None
    where = os.environ.get("CIRCUITSPEX_STORE")
    if where is not None and where != "":
        return store_at(where)
    try:
        return Store(cache_folder() / "runs.sqlite")
    except FileFormatError:
        raise
    except UserError as error:
        _without(error)
        return None


def _without(why: UserError) -> None:
    warnings.warn(f"{why}; going on without the store of finished ablations", stacklevel=3)


class Store:
    """The finished ablations in one file.

    Args:
        path: the file; made where there is none. A damaged one is set aside, with a warning.

    A disk that is full or can't be written to costs a warning, and what is finished is simply not kept.

    Raises:
        FileFormatError: the file is of a newer version, or not a store.
        UserError: it can't be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._connection = open_store(self.path)
        self._works = True

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def game(self, facts: Facts, about: Facts) -> str:
        """The identity of the game that these facts describe.

        Args:
            facts: all that a value depends on; hashed as a whole, with ``VALUES_VERSION``.
            about: what else people want to know of it, such as names; kept with the facts for ``games``.
        """
        hashed = json.dumps({**facts, "values_version": VALUES_VERSION}, sort_keys=True)
        identity = hashlib.sha256(hashed.encode()).hexdigest()
        text = json.dumps({**facts, **about})
        self._write(
            [
                (
                    "INSERT INTO games (identity, facts, used) VALUES (?, ?, ?) "
                    "ON CONFLICT (identity) DO UPDATE SET used = excluded.used, facts = excluded.facts",
                    (identity, text, time.time()),
                )
            ]
        )
        return identity

    def find(self, identity: str, gates: FloatArray | Masks, *, gradients: bool) -> dict[int, _Row]:
        """What is kept of these rows of gates ``(K, n)``: by row, values of each prompt, and gradients or None.

        With ``gradients`` only rows that have them count.
        """
        places = {_key(row): place for place, row in enumerate(gates)}
        keys = list(places)
        found: dict[int, _Row] = {}
        spoiled: list[bytes] = []
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            query = (
                "SELECT key, per_prompt, gradient, checksum FROM ablations WHERE game = "
                f"(SELECT id FROM games WHERE identity = ?) AND key IN ({','.join('?' * len(part))})"
            )
            for key, values, slopes, checksum in self._read(query, (identity, *part)):
                if key not in places or not _is_sound(identity, key, values, slopes, checksum):
                    spoiled.append(key)
                elif slopes is not None or not gradients:
                    found[places[key]] = np.frombuffer(values), None if slopes is None else _unpacked(slopes)
        if spoiled:
            warnings.warn(
                f"{len(spoiled)} ablations in the store {self.path} are damaged; they are run again", stacklevel=3
            )
            delete = "DELETE FROM ablations WHERE key = ? AND game = (SELECT id FROM games WHERE identity = ?)"
            self._write([(delete, (key, identity)) for key in spoiled])
        return found

    def keep(
        self, identity: str, gates: FloatArray | Masks, per_prompt: PerPrompt, gradients: Gradients | None
    ) -> None:
        """Write finished ablations, all of them or none: gates ``(K, n)``, values ``(K, P)``, gradients ``(K, n)``."""
        statement = (
            "INSERT INTO ablations (game, key, gates, per_prompt, gradient, checksum) "
            "VALUES ((SELECT id FROM games WHERE identity = ?), ?, ?, ?, ?, ?) ON CONFLICT (game, key) DO UPDATE SET "
            "per_prompt = excluded.per_prompt, gradient = excluded.gradient, checksum = excluded.checksum "
            "WHERE excluded.gradient IS NOT NULL"
        )
        rows = []
        for place, row in enumerate(gates):
            key, values = _key(row), np.ascontiguousarray(per_prompt[place], dtype=np.float64).tobytes()
            slopes = None if gradients is None else _packed(gradients[place])
            checksum = _checksum(identity, key, values, slopes)
            rows.append((statement, (identity, key, _packed(row), values, slopes, checksum)))
        self._write(rows)

    def games(self) -> list[StoredGame]:
        """All games, those used last first."""
        query = (
            "SELECT identity, facts, used, count(key), count(gradient), "
            "coalesce(sum(length(key) + length(gates) + length(per_prompt) + coalesce(length(gradient), 0)), 0) "
            "FROM games LEFT JOIN ablations ON game = id GROUP BY id ORDER BY used DESC"
        )
        query = query.replace("SELECT identity, facts", "SELECT CAST(identity AS BLOB), CAST(facts AS BLOB)")
        return [
            StoredGame(_text(identity), _facts(facts), count, slopes, size, used if isinstance(used, float) else 0.0)
            for identity, facts, used, count, slopes, size in self._read(query, ())
        ]

    def delete(self, identities: Sequence[str]) -> None:
        """Drop these games and all that is kept of them, and give the space back."""
        same = "DELETE FROM games WHERE CAST(identity AS BLOB) = ?"
        self._write([(same, (identity.encode("utf-8", "surrogateescape"),)) for identity in identities])
        if self._works:
            with contextlib.suppress(sqlite3.Error):  # while another process reads, the space is given back later
                self._connection.execute("VACUUM")

    def named(self, prefix: str) -> StoredGame:
        """The one game whose identity begins with ``prefix``.

        Raises:
            UserError: none or several do.
        """
        found = [game for game in self.games() if game.identity.startswith(prefix)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise UserError(f"no run in {self.path} begins with '{prefix}'; `circuitspex runs list` shows them")
        raise UserError(f"'{prefix}' is short for {len(found)} runs: {', '.join(g.identity[:12] for g in found[:6])}")

    def _read(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if not self._works:
            return []
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._give_up("read", error)
            return []

    def _write(self, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        if not self._works or not statements:
            return
        try:
            with transaction(self._connection):
                for statement, values in statements:
                    self._connection.execute(statement, values)
        except sqlite3.Error as error:
            self._give_up("write to", error)

    def _give_up(self, what: str, error: Exception) -> None:
        self._works = False
        warnings.warn(f"can't {what} the store {self.path} ({error}); going on without it", stacklevel=4)


def _key(gates: FloatArray | Masks) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(gates, dtype=np.float64).tobytes(), digest_size=20).digest()


def _is_sound(identity: str, key: Any, values: Any, slopes: Any, checksum: Any) -> bool:
    """Whether a row is what was written; a damaged one can hold anything."""
    if not isinstance(key, bytes) or not isinstance(values, bytes) or not isinstance(slopes, bytes | None):
        return False
    return bool(checksum == _checksum(identity, key, values, slopes))


def _text(given: Any) -> str:
    return given.decode("utf-8", "surrogateescape") if isinstance(given, bytes) else str(given)


def _facts(given: Any) -> Facts:
    """What is known of a run; where that is damaged, only that it is."""
    try:
        found = json.loads(given)
    except (TypeError, ValueError):
        found = None
    return found if isinstance(found, dict) else {"damaged": True}


def _checksum(identity: str, key: bytes, values: bytes, slopes: bytes | None) -> bytes:
    digest = hashlib.blake2b(identity.encode(), digest_size=8)
    for part in (key, values, b"none" if slopes is None else slopes):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()


def _packed(numbers: FloatArray | Masks) -> bytes:
    """The smallest of four forms that gives every number back exactly: bits, scaled float16, float32, float64."""
    numbers = np.ascontiguousarray(numbers, dtype=np.float64)
    if bool(((numbers == 0) | (numbers == 1)).all()) and not np.signbit(numbers).any():
        return b"b" + len(numbers).to_bytes(4, "little") + np.packbits(numbers == 1).tobytes()
    if len(numbers) > HALF_FROM:
        packed = HalfMatrix.of(numbers[None])
        if np.array_equal(packed[0].astype(np.float64), numbers):
            return b"h" + int(packed.exponents[0]).to_bytes(4, "little", signed=True) + packed.halves.tobytes()
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    exact = single.astype(np.float64) == numbers
    return b"f" + single.tobytes() if bool(exact.all()) else b"d" + numbers.tobytes()


def _unpacked(data: bytes) -> FloatArray:
    if data[:1] == b"b":
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8, offset=5), count=int.from_bytes(data[1:5], "little"))
        return bits.astype(np.float64)
    if data[:1] == b"h":
        exponent = int.from_bytes(data[1:5], "little", signed=True)
        return np.ldexp(np.frombuffer(data, dtype=np.float16, offset=5).astype(np.float64), exponent)
    kind = np.float32 if data[:1] == b"f" else np.float64
    return np.frombuffer(data[1:], dtype=kind).astype(np.float64)
