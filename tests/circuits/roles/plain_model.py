"""A tiny model of a family, and the metric of plain Hugging Face with plain hooks: the reference of these tests."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

sys.path.append(str(Path(__file__).parents[2] / "families"))

from conform import tokenizer
from plain import Edit, Plain
from table import FAMILIES

from circuitspex.models.load import _bridge


@functools.cache
def plain_and_bridge(name: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> SimpleNamespace:
    """The same random weights twice: plain, and behind a bridge with the tokenizer of words."""
    family = FAMILIES[name]
    bridge = _bridge(f"tiny-{name}", family.make(seed).to(dtype), tokenizer(), dtype, torch.device("cpu"))
    return SimpleNamespace(plain=Plain(family, family.make(seed).to(dtype)), bridge=bridge)


def metric(plain: Plain, task: Any, edits: dict[Any, Edit], prompts: Sequence[int] | None = None) -> torch.Tensor:
    """The logit difference ``(prompts,)`` of prompts of one length, with activations edited."""
    chosen = list(range(task.n_prompts)) if prompts is None else list(prompts)
    length = int(task.lengths[chosen[0]])
    logits = plain.logits(task.tokens[chosen, :length], edits)
    right, wrong = (logits.gather(1, one[chosen, None])[:, 0] for one in (task.answers, task.wrong_answers))
    return (right - wrong).double()


def read(plain: Plain, tokens: torch.Tensor, places: Sequence[Any], edits: dict[Any, Edit]) -> dict[Any, torch.Tensor]:
    """What passes these places ``[prompts, pos, width]``, with other activations edited."""
    found: dict[Any, torch.Tensor] = {}

    def keep(place: Any) -> Edit:
        def look(z: torch.Tensor) -> torch.Tensor:
            found[place] = z.clone()
            return edits[place](z) if place in edits else z

        return look

    plain.logits(tokens, edits | {place: keep(place) for place in places})
    return found


def put(columns: Sequence[int], values: torch.Tensor, positions: Sequence[Sequence[int]] | None = None) -> Edit:
    """Some columns are replaced by those of other activations; with ``positions`` only at those of each prompt."""

    def edit(z: torch.Tensor) -> torch.Tensor:
        z, other = z.clone(), values.expand_as(z)
        for row in range(len(z)):
            at = range(z.shape[1]) if positions is None else positions[row]
            for position in at:
                z[row, position, list(columns)] = other[row, position, list(columns)]
        return z

    return edit
