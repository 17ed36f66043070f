"""A checkpoint is written beside its place, read again in plain transformers, and put there when it is right."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from circuitspex.circuits.use.draft import Draft
from circuitspex.errors import UserError
from circuitspex.models.own_tokenizer import own_tokenizer
from circuitspex.models.protocol import Model
from circuitspex.models.quiet import quiet_transformers


def check_free(path: Path, overwrite: bool) -> None:
    """Nothing if a checkpoint may be written there.

    Raises:
        UserError: there is something already that may not be overwritten, or the folder above can't be written to.
    """
    if path.is_symlink() or path.exists():
        if not overwrite:
            raise UserError(f"{path} exists already; give another path, or overwrite=True")
        if path.is_symlink() or not (path / "config.json").is_file():
            raise UserError(f"{path} is no folder of a model, so it is not overwritten; give another path")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"can't write to the folder {path.parent}: {error.strerror or error}") from error
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"can't write to the folder {path.parent}: Permission denied")


def check_not_source(path: Path, source: str | Path) -> None:
    """Nothing if a checkpoint that is written there takes no place of what the model is read from.

    Raises:
        UserError: it does, so that the whole model would be gone.
    """
    read, written = Path(source).expanduser(), path.expanduser()
    if read.exists() and (read.resolve() == written.resolve() or written.resolve() in read.resolve().parents):
        raise UserError(f"{path} is where the model itself is read from, so it is not overwritten; give another path")


class Written:
    """A checkpoint beside the place that it is for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, path: Path) -> None:
        """Put it there, in place of what is there; a reader finds the one or the other."""
        old = self.folder.with_suffix(".old")
        there = path.exists()
        if there:
            os.replace(path, old)
        try:
            os.replace(self.folder, path)
        except OSError:
            if there:
                os.replace(old, path)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def difference(self, of: type[Any], tokens: torch.Tensor, wanted: torch.Tensor) -> float:
        """The largest difference of its logits, in plain transformers, from those that are wanted."""
        with quiet_transformers(), torch.no_grad():
            model = of.from_pretrained(
                self.folder,
                dtype="auto",
                attn_implementation="eager",
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
            logits = model.to(tokens.device).eval()(input_ids=tokens, use_cache=False).logits.float()
        difference = (logits - wanted.to(logits.device)).abs().max()
        return float(difference) if bool(torch.isfinite(difference)) else float("inf")


@contextlib.contextmanager
def written(draft: Draft, model: Model, path: Path) -> Iterator[Written]:
    """The configuration, the weights and the tokenizer, in a folder beside the path that is gone after the block.

    Raises:
        UserError: it can't be written.
    """
    folder = path.absolute().with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        with quiet_transformers():
            made = draft.model()
            settings = getattr(model.original_model, "generation_config", None)
            if settings is not None:
                made.generation_config = settings
            made.save_pretrained(folder)
            if (tokenizer := own_tokenizer(model)) is not None:
                tokenizer.save_pretrained(folder)
        del made
        yield Written(folder)
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
