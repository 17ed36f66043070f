"""How a circuit is written: formats are looked up by name, so that a circuit need not know them.

A module registers its formats when it is imported; the modules in ``PROVIDERS`` are imported on the first look-up. This
keeps the imports going one way: ``export`` knows circuits, circuits do not know ``export``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from circuitspex.errors import UserError

if TYPE_CHECKING:
    from circuitspex.circuits.circuit import Circuit
    from circuitspex.circuits.comparison import Comparison, Series
    from circuitspex.circuits.report import Report

Writer = Callable[["Circuit", Path], Path]
Reader = Callable[[Path], object]
Renderer = Callable[["Circuit"], str]

PROVIDERS = ["circuitspex.export"]

_writers: dict[str, Writer] = {}
_readers: dict[str, Reader] = {}
_renderers: dict[str, Renderer] = {}
# What is not a circuit but is written by the same packages: by kind and format.
_other_writers: dict[tuple[str, str], Callable[[Any, Path], Path]] = {}
_other_renderers: dict[tuple[str, str], Callable[[Any], str]] = {}

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


def register_other(
    kind: str,
    name: str,
    *,
    write: Callable[[Any, Path], Path] | None = None,
    render: Callable[[Any], str] | None = None,
) -> None:
    """Add a format of a 'report', a 'comparison' or a 'series'."""
    if write is not None:
        _other_writers[kind, name] = write
    if render is not None:
        _other_renderers[kind, name] = render


def other_writer(thing: Report | Comparison | Series, name: str) -> Callable[[Any, Path], Path]:
    """The writer of that format for this kind of thing; UserError names the ones that exist."""
    return _find_other(_other_writers, thing, name)


def other_renderer(thing: Report | Comparison | Series, name: str) -> Callable[[Any], str]:
    """What renders this kind of thing as text; UserError names the formats that exist."""
    return _find_other(_other_renderers, thing, name)


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


def _find_other(table: dict[tuple[str, str], T], thing: object, name: str) -> T:
    _load_providers()
    kind = type(thing).__name__.lower()
    if (kind, name) not in table:
        known = sorted(form for of, form in table if of == kind)
        raise UserError(f"unknown format '{name}' of a {kind}; known: {', '.join(known)}")
    return table[kind, name]


def _find(table: dict[str, T], name: str) -> T:
    _load_providers()
    if name not in table:
        raise UserError(f"unknown format '{name}'; known: {', '.join(sorted(table))}")
    return table[name]
