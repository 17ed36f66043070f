"""Models in folders, as workers find them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace


def saved(tiny: SimpleNamespace, folder: Path, seed: int = 0) -> Path:
    """A tiny Llama with its tokenizer in a folder."""
    tiny.hf_model("llama", seed=seed).save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder
