"""Tables of what can be added: our own entries, and those of other packages.

Each table has a group of entry points, ``circuitspex.decoders`` for example. A package that is installed beside this
one adds an entry by naming an object in that group of its ``pyproject.toml``; the name there is the entry's name. Names
are known without loading anything, so that the command line stays quick; an entry is loaded when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from circuitspex.errors import UserError

T = TypeVar("T")


class Later:
    """A function that is imported when it is first called, ``Later("package.module:function")``."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._function: Callable[..., Any] | None = None

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function itself, which is imported now; ``inspect.signature`` reads its parameters here."""
        if self._function is None:
            module, name = self.place.split(":")
            self._function = getattr(importlib.import_module(module), name)
        return self._function

    def __call__(self, *args: Any, **options: Any) -> Any:
        """What the function gives."""
        return self.__wrapped__(*args, **options)

    def __repr__(self) -> str:
        return f"Later({self.place!r})"


class Table(Mapping[str, T], Generic[T]):
    """Entries by name, in the order in which they were added; ours first, then those of other packages.

    Args:
        word: what an entry is, in a word: 'decoder'.
        kind: the class of the entries; what another package adds must be one.
        group: the group of entry points through which other packages add entries.
        ours: entries of this package.
        besides: what else is allowed in place of a name, as an error says it: ', or the path of a file'.
        error: what is raised where a name is not known.

    A name of ours stays ours: another package's entry of that name is passed over.
    """

    def __init__(
        self,
        word: str,
        kind: type[T],
        group: str,
        ours: Mapping[str, T] | None = None,
        *,
        besides: str = "",
        error: type[UserError] = UserError,
    ) -> None:
        self.word, self.kind, self.group = word, kind, group
        self.besides, self.error = besides, error
        self._entries: dict[str, T] = dict(ours or {})
        self._others: dict[str, EntryPoint] | None = None

    def add(self, name: str, entry: T) -> T:
        """Add an entry, or replace the one of that name."""
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> T:
        """The entry of that name.

        Raises:
            UserError: there is none; the names that there are are listed. Or another package's can't be loaded.
        """
        if not isinstance(name, str) or (name not in self._entries and name not in self._found()):
            raise self.error(f"unknown {self.word} '{name}'; known: {', '.join(self)}{self.besides}")
        if name not in self._entries:
            self._entries[name] = self._loaded(self._found()[name])
        return self._entries[name]

    def ready(self, name: str) -> T | None:
        """The entry of that name if it is there without loading anything, else None."""
        return self._entries.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._found()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._entries, *self._found()]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _found(self) -> dict[str, EntryPoint]:
        """The entry points of other packages, by name; looked up once."""
        if self._others is None:
            self._others = {point.name: point for point in entry_points(group=self.group)}
        return self._others

    def _loaded(self, point: EntryPoint) -> T:
        whose = f"{self.word} '{point.name}' of {point.dist.name if point.dist else point.value}"
        try:
            entry = point.load()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{whose} can't be loaded: {type(error).__name__}: {reason}") from error
        if not isinstance(entry, self.kind):
            raise UserError(f"{whose} must be a {self.kind.__name__}, not a {type(entry).__name__}")
        return entry
