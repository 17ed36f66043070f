"""Known patterns of attention: where heads look on random tokens that are repeated once.

On such texts nothing but order and repetition can be attended to, so what a head does there is independent of the task
(Olsson et al., 'In-context Learning and Induction Heads', 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from circuitspex.circuits.about import Patterns
from circuitspex.circuits.roles.pattern_hooks import Seen
from circuitspex.circuits.roles.read_once import read_once
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import Component
from circuitspex.models.protocol import Model
from circuitspex.models.tokens import bos_of, context_of
from circuitspex.statistics import over_prompts
from circuitspex.typing import FloatArray

N_TEXTS = 12
"""How many texts there are."""

HALF = 25
"""How many random tokens each has before they are repeated, where context and vocabulary hold as many."""

_LEAST = 3  # random tokens; with fewer, everything is near everything else
_KINDS = ("previous_token", "duplicate_token", "induction", "first")


@dataclass(frozen=True)
class RandomTexts:
    """``tokens (texts, 1 + 2 half)``: a first token, then ``half`` random ones, all different, then these again.

    The first is BOS where the model's texts begin with it, else a random one too: it is not repeated, so attention to
    the first token, which looks at nothing, is no attention to a repetition.
    """

    tokens: Int[Tensor, "texts pos"]
    half: int

    @property
    def chance(self) -> float:
        """The share that one token has of even attention, averaged over the second half."""
        return float(np.mean([1 / (at + 1) for at in range(1 + self.half, 1 + 2 * self.half)]))


def patterns(subject: Subject, *, n_texts: int = N_TEXTS) -> dict[str, Patterns | str]:
    """Where heads look on random repeated tokens; for other components, and where it can't be known, the reason.

    Args:
        subject: the components and the model; its seed draws the tokens.
        n_texts: how many texts; intervals are over them.

    Returns:
        by the component's name. A head at one position (``L5H1@3``) is taken at all positions, as its pattern is the
        model's and not the task's.
    """
    found: dict[str, Patterns | str] = {}
    wanted: dict[int, list[Component]] = {}
    for component in subject.components:
        if component.kind == "head":
            wanted.setdefault(component.layer, []).append(component)
        else:
            found[str(component)] = "only heads attend, and this is no head"
    if not wanted:
        return found
    texts = random_texts(subject.model, n_texts, subject.seed)
    if isinstance(texts, str):
        return found | {str(head): texts for own in wanted.values() for head in own}
    shares: dict[str, FloatArray] = {str(head): np.empty((n_texts, 4)) for own in wanted.values() for head in own}

    def keep(rows: slice, layer: int, seen: Seen) -> None:
        for at, head in enumerate(wanted[layer]):
            shares[str(head)][rows] = _shares(seen.pattern[:, at].double().cpu().numpy(), texts.half)

    heads = {layer: [head.start for head in own] for layer, own in wanted.items()}
    refused = read_once(subject, texts.tokens, heads, keep)
    for layer, own in wanted.items():
        for head in own:
            if layer in refused:
                found[str(head)] = f"layer {layer} {refused[layer]}"
                continue
            each = {name: over_prompts(shares[str(head)][:, at]) for at, name in enumerate(_KINDS)}
            found[str(head)] = Patterns(**each, chance=texts.chance)
    return {str(component): found[str(component)] for component in subject.components}


def random_texts(model: Model, n_texts: int, seed: int) -> RandomTexts | str:
    """The texts, or why there are none: the context, or the vocabulary, is too small."""
    ordinary, bos = _ordinary(model), _bos(model)
    context = context_of(model)
    half = min(HALF, len(ordinary) - 1, HALF if context is None else (context - 1) // 2)
    if half < _LEAST:
        of = "a vocabulary" if len(ordinary) - 1 < _LEAST else "a context"
        n = len(ordinary) if len(ordinary) - 1 < _LEAST else context
        return f"the model has {of} of {n} tokens, too few for random texts"
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_texts):
        first, *drawn = rng.choice(ordinary, 1 + half, replace=False).tolist()
        rows.append([first if bos is None else bos, *drawn, *drawn])
    return RandomTexts(torch.tensor(rows), half)


def _shares(attention: FloatArray, half: int) -> FloatArray:
    """``(texts, 4)``: the attention ``(texts, query, key)`` to each of ``_KINDS``.

    It is the mean over the second half, but for the previous token that over all tokens after the first random one: it
    has nothing to do with repetition, and models learn such heads with absolute positions at early ones alone.
    """
    every, queries = np.arange(2, 1 + 2 * half), np.arange(1 + half, 1 + 2 * half)
    pairs = ((every, every - 1), (queries, queries - half), (queries, queries - half + 1), (queries, 0 * queries))
    return np.stack([attention[:, query, key].mean(1) for query, key in pairs], axis=1)


def _ordinary(model: Model) -> list[int]:
    """The tokens that stand for text: no special ones, none that the tokenizer lacks or was given later."""
    size, tokenizer = int(model.cfg.d_vocab), getattr(model, "tokenizer", None)
    special = _configured(model)
    if tokenizer is not None:
        size = min(size, len(tokenizer))
        special |= {int(token) for token in tokenizer.all_special_ids}
        special |= {int(token) for token in tokenizer.get_added_vocab().values()}
    return [token for token in range(size) if token not in special]


def _configured(model: Model) -> set[int]:
    """The special tokens that the model's own configuration names."""
    config: Any = getattr(model.original_model, "config", None)
    named = [value for name, value in vars(config).items() if name.endswith("_token_id")] if config is not None else []
    each = [token for value in named for token in (value if isinstance(value, list) else [value])]
    return {token for token in each if isinstance(token, int)}


def _bos(model: Model) -> int | None:
    """The BOS token, where the model's texts begin with it."""
    tokenizer = getattr(model, "tokenizer", None)
    return bos_of(tokenizer) if tokenizer is not None and getattr(model.cfg, "default_prepend_bos", False) else None
