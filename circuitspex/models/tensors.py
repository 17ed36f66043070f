"""Whether the weights that were read are the model's: all of them, of its shapes, and no others."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from circuitspex.errors import ModelNotFoundError

# What older versions of transformers wrote beside the weights: causal masks and rotary frequencies, made anew today.
_BUFFERS = re.compile(r"(^|\.)(attn|attention)\.(masked_)?bias$|\.inv_freq$|\.(cos|sin)_cached$|(^|\.)position_ids$")


def check_tensors(found: Mapping[str, Any], where: str, *, extra: bool = True) -> None:
    """Refuse a model that would run with random weights in place of what its files lack, or without some of them.

    Tied weights that are stored once, buffers that are computed, and what the class documents as left out are no lack.

    Args:
        found: the loading info of ``from_pretrained(…, output_loading_info=True)``.
        where: the model came from, for the message.
        extra: whether tensors that the model has no place for are a reason too.

    Raises:
        ModelNotFoundError: one line that names some of the tensors.
    """
    where = f"can't load {where}: its files"
    if wrong := sorted((str(name), *shapes) for name, *shapes in found.get("mismatched_keys", ())):
        name, stored, wanted = wrong[0]
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ModelNotFoundError(
            f"{where} hold {name} with the shape {_shape(stored)}, and its config.json asks for {_shape(wanted)}{more}"
        )
    if missing := found.get("missing_keys"):
        raise ModelNotFoundError(f"{where} lack {_some(missing)}, for which the config.json asks")
    unused = [name for name in found.get("unexpected_keys", ()) if not _BUFFERS.search(name)]
    if extra and unused:
        raise ModelNotFoundError(f"{where} hold {_some(unused)}, for which its config.json has no place")
    if problems := found.get("error_msgs"):
        raise ModelNotFoundError(f"{where} can't be read: {' '.join(str(problems[0]).split())[:300]}")


def _shape(shape: Any) -> str:
    return " x ".join(str(size) for size in shape) or "of one number"


def _some(names: Collection[str]) -> str:
    """How many, and the first of them."""
    first = sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in _PARTS.findall(name)])
    shown = ", ".join(first[:3])
    return shown if len(first) <= 3 else f"{len(first)} tensors ({shown}, …)"


_PARTS = re.compile(r"\d+|\D+")
