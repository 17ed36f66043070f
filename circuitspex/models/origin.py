"""Where a model was loaded from, so that another process can load the same one instead of being sent its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from circuitspex.errors import UserError
from circuitspex.models.protocol import Model
from circuitspex.registry import Later

_load_model = Later("circuitspex.models.load:load_model")

# Where a model lives is for each process to say.
_OF_THE_PLACE = ("source", "tokenizer", "device")


@dataclass(frozen=True)
class Origin:
    """A name, folder or file of a model, and how it was loaded from there (dtype, revision, …)."""

    source: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self, **place: Any) -> Model:
        """The model, on a device or spread over several (``device``, ``device_map``).

        Raises:
            ModelNotFoundError: it can't be read here.
        """
        model: Model = _load_model(self.source, **{**self.options, **place})
        return model

    @property
    def key(self) -> str:
        """The same text for the same origin."""
        return repr((self.source, sorted((name, str(value)) for name, value in self.options.items())))


_known: WeakKeyDictionary[Any, Origin] = WeakKeyDictionary()


def remember_origin(model: Model, arguments: Mapping[str, Any]) -> None:
    """Record with which arguments of ``load_model`` a model was loaded; folders and files by their whole path."""
    source = arguments["source"]
    if not isinstance(source, str | Path):
        return
    path = Path(source).expanduser()
    options = {name: value for name, value in arguments.items() if name not in _OF_THE_PLACE and value is not None}
    _known[model] = Origin(str(path.resolve()) if path.exists() else str(source), options)


def origin_of(model: Model) -> Origin:
    """Where a model was loaded from.

    A Hugging Face model that was loaded by the caller counts as that of the folder or name that it knows of itself;
    whoever loads it from there compares identities.

    Raises:
        UserError: it was made here, or wrapped by hand, and no one else can load it.
    """
    found = _known.get(model)
    if found is not None:
        return found
    inner = getattr(model, "original_model", model)
    name = str(getattr(getattr(inner, "config", None), "_name_or_path", None) or "")
    if not name:
        raise UserError(
            "workers load the model themselves, and this one is in memory only: save it with save_pretrained(folder) "
            "and its tokenizer's, and give load_model(folder)"
        )
    path = Path(name).expanduser()
    dtype = next(model.parameters()).dtype
    return Origin(str(path.resolve()) if path.exists() else name, {"dtype": dtype})
