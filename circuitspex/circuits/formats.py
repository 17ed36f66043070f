"""How a circuit is written: formats are looked up by name, so that a circuit need not know them.

A module registers its formats when it is imported; the modules in ``PROVIDERS`` are imported on the first look-up. This
keeps the imports going one way: ``export`` knows circuits, circuits do not know ``export``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from circuitspex.errors import UserError

if TYPE_CHECKING:
    from circuitspex.circuits.circuit import Circuit

Writer = Callable[["Circuit", Path], Path]
Reader = Callable[[Path], object]
Renderer = Callable[["Circuit"], str]

PROVIDERS = ["circuitspex.export"]

_writers: dict[str, Writer] = {}
_readers: dict[str, Reader] = {}
_renderers: dict[str, Renderer] = {}

T = TypeVar("T")


def register(
    name: str, *, write: Writer | None = None, read: Reader | None = None, render: Renderer | None = None
) -> None:
    """Add a format, or replace the one of that name.

    Args:
        name: what users call it, 'svg' for example.
        write: writes a circuit to a path and gives the path.
        read: reads a circuit from a path.
        render: gives the circuit as text.
    """
    if write is not None:
        _writers[name] = write
    if read is not None:
        _readers[name] = read
    if render is not None:
        _renderers[name] = render


def names() -> tuple[str, ...]:
    """The formats that a circuit can be written in."""
    _load_providers()
    return tuple(sorted(_writers))


def writer(name: str) -> Writer:
    """The writer of that format; UserError names the ones that exist."""
    return _find(_writers, name)


def reader(name: str) -> Reader:
    """The reader of that format; UserError names the ones that exist."""
    return _find(_readers, name)


def renderer(name: str) -> Renderer:
    """What renders that format as text; UserError names the ones that exist."""
    return _find(_renderers, name)


def _load_providers() -> None:
    for module in PROVIDERS:
        importlib.import_module(module)


def _find(table: dict[str, T], name: str) -> T:
    _load_providers()
    if name not in table:
        raise UserError(f"unknown format '{name}'; known: {', '.join(sorted(table))}")
    return table[name]
