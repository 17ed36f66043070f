"""How results are written: formats are looked up by the type of the result and the format's name.

So results need not know how they are written: ``export`` knows results, results do not know ``export``, which adds its
formats when it is imported. Another package adds a format through the entry points of ``circuitspex.formats``; its
entry is named like ``Circuit.svg``: the type of the result and the format's name.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from circuitspex.errors import UserError
from circuitspex.registry import Table

PROVIDERS = ["circuitspex.export"]
"""Modules that add their formats when they are imported; they are imported on the first look-up."""


@dataclass(frozen=True)
class Format:
    """One way to write, read or show a result.

    ``write`` takes the result and a path, and gives the path; ``read`` takes a path; ``render`` gives the result as
    text. What a format can't do is None. ``ending`` is what its files end with; ``about`` says in a few words what it
    is for.
    """

    write: Callable[..., Path] | None = None
    read: Callable[..., Any] | None = None
    render: Callable[[Any], str] | None = None
    ending: str = ""
    about: str = ""


FORMATS: Table[Format] = Table("format", Format, "circuitspex.formats")
"""All formats, by ``Type.name``: ``Circuit.svg``, ``Comparison.json``."""


def add(of: str, name: str, form: Format) -> None:
    """Add the format of that name for results of this type, or replace it."""
    FORMATS.add(f"{of}.{name}", form)


def names(of: str = "Circuit") -> tuple[str, ...]:
    """The formats that results of this type can be written in."""
    found = {name: FORMATS.ready(f"{of}.{name}") for name in _known(of)}
    # Another package's is not loaded for its name.
    return tuple(sorted(name for name, form in found.items() if form is None or form.write is not None))


def ending(of: str, name: str) -> str:
    """What files of that format end with."""
    return _entry(of, name).ending or name


def write(result: object, name: str, path: str | Path, **options: Any) -> Path:
    """Write a result in that format, and give the path; UserError names the formats that exist."""
    found = _entry(_type_of(type(result)), name).write
    if found is None:
        raise UserError(f"a {type(result).__name__} can't be written as '{name}'")
    return found(result, Path(path), **options)


def render(result: object, name: str) -> str:
    """A result as text in that format; UserError names the formats that exist."""
    found = _entry(_type_of(type(result)), name).render
    if found is None:
        raise UserError(f"a {type(result).__name__} can't be shown as '{name}'; write it to a file")
    return found(result)


def read(kind: type[Any], path: str | Path, name: str = "json", **options: Any) -> Any:
    """A result of this type from a file in that format, with the reader's own options (``sign`` of 'eap', for one).

    Raises:
        FileFormatError: the file is damaged, or was written by a newer version.
    """
    found = _entry(_type_of(kind), name).read
    if found is None:
        raise UserError(f"a {kind.__name__} can't be read from '{name}'")
    result = found(Path(path), **options)
    if not isinstance(result, kind):
        raise TypeError(f"the reader of {name} gave {type(result).__name__}, not a {kind.__name__}")
    return result


def _known(of: str) -> list[str]:
    for module in PROVIDERS:
        importlib.import_module(module)
    return [key.removeprefix(f"{of}.") for key in FORMATS if key.startswith(f"{of}.")]


def _type_of(kind: type[Any]) -> str:
    """The type under which the formats of results of this type are known: itself, or one that it inherits from."""
    names = [each.__name__ for each in kind.__mro__]
    return next((name for name in names if _known(name)), names[0])


def _entry(of: str, name: str) -> Format:
    known = _known(of)
    if name not in known:
        raise UserError(f"unknown format '{name}' of a {of.lower()}; known: {', '.join(sorted(known))}")
    return FORMATS[f"{of}.{name}"]


class Result:
    """What can be shown as text, written and read back, in the formats that are known for its type."""

    def save(self, path: str | Path) -> Path:
        """Write it as JSON, whole or not at all; ``load`` reads it back, where that is possible."""
        return self.export("json", path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            FileFormatError: the file is damaged, or was written by a newer version.
        """
        found: Self = read(cls, path)
        return found

    def export(self, form: str, path: str | Path) -> Path:
        """Write it in one of the formats of ``circuitspex.circuits.formats.names`` for its type."""
        return write(self, form, path)

    def table(self) -> str:
        """As a text table for a terminal."""
        return render(self, "text")

    def __str__(self) -> str:
        return self.table()


class Shown:
    """A result as a notebook shows it; the last line of a cell, or what ``display`` takes."""

    def __init__(self, result: Drawn, static: bool) -> None:
        self.result, self.static = result, static

    def _repr_html_(self) -> str:
        return render(self.result, "html" if self.static else "notebook")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        found = {"text/plain": self.result.table(), "text/html": self._repr_html_()}
        return found | {"image/svg+xml": render(self.result, "svg")}

    def __repr__(self) -> str:
        return self.result.table()


class Drawn(Result):
    """A result that is also a drawing and a page.

    In a notebook it shows the page, which is put into the notebook with it; with a picture in its place where no script
    runs. ``show(static=True)`` shows the picture alone, as ``CIRCUITSPEX_NOTEBOOK=static`` in the environment does for
    all results, so that notebooks stay small.
    """

    def show(self, *, static: bool = False) -> Shown:
        """As a notebook shows it: the interactive page, or the picture alone."""
        return Shown(self, static)

    def to_html(self, path: str | Path) -> Path:
        """Write one HTML page that needs no network."""
        return self.export("html", path)

    def to_svg(self, path: str | Path) -> Path:
        """Write the drawing as SVG."""
        return self.export("svg", path)

    def to_png(self, path: str | Path) -> Path:
        """Write the drawing as PNG."""
        return self.export("png", path)

    def to_pdf(self, path: str | Path) -> Path:
        """Write the drawing as PDF."""
        return self.export("pdf", path)

    def _repr_html_(self) -> str:
        return self.show(static=_static())._repr_html_()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return self.show(static=_static())._repr_mimebundle_(include, exclude)


def _static() -> bool:
    return os.environ.get("CIRCUITSPEX_NOTEBOOK", "").lower() == "static"
