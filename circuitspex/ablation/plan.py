"""What a set of masks can share, decided before anything runs.

For each mask: the first layer and the first position that it touches. Masks that share more run together; a batch
starts at the earliest layer and position that any of its masks touches, from what one unablated pass left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitspex.ablation.cost import PassCost
from circuitspex.components import Component
from circuitspex.typing import FloatArray

_Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Batch:
    """Masks (their places in the request) that run together, in one part of the prompts after the other."""

    masks: _Ints
    prompts: tuple[slice, ...]
    first_layer: int
    first_position: int


@dataclass(frozen=True)
class GroupPlan:
    """The order of the masks for the prompts of one length, and where each mask starts.

    Each prompt is run as ``n_sequences`` rows of ``length`` tokens, one for each answer of several tokens.
    """

    n_prompts: int
    length: int
    order: _Ints
    first_layer: _Ints
    first_position: _Ints
    n_sequences: int = 1

    def batch(self, start: int, rows: int, most_masks: int | None = None) -> Batch:
        """The next batch, from place ``start`` of the order on, of at most ``rows`` masks times prompts."""
        count = max(1, rows // self.n_prompts)
        masks = self.order[start : start + min(count, most_masks or count)]
        step = min(self.n_prompts, rows)
        parts = tuple(slice(p, min(p + step, self.n_prompts)) for p in range(0, self.n_prompts, step))
        return Batch(masks, parts, int(self.first_layer[masks].min()), int(self.first_position[masks].min()))

    def batches(self, rows: int, most_masks: int | None = None) -> tuple[Batch, ...]:
        """All batches, where every one of them fits."""
        found: list[Batch] = []
        start = 0
        while start < len(self.order):
            found.append(self.batch(start, rows, most_masks))
            start += len(found[-1].masks)
        return tuple(found)


def group_plan(
    gates: FloatArray,
    components: Sequence[Component],
    *,
    n_prompts: int,
    length: int,
    n_sequences: int = 1,
    n_layers: int,
    gradients: bool,
    positions: bool,
) -> GroupPlan:
    """Where each mask starts, and in which order they run.

    Args:
        gates: ``(K, n)``; a gate of 1 touches nothing, unless ``gradients`` are wanted, when all components count.
        components: what the columns mean.
        n_prompts: prompts of this length.
        length: their tokens, with those of an answer that follows.
        n_sequences: how many rows a prompt is run as.
        n_layers: layers of the model.
        gradients: see above.
        positions: whether the executor can start at a later position than the first.
    """
    layers = np.array([component.layer for component in components])
    places = np.array([0 if c.position is None else c.position % length for c in components])
    touched = np.ones(gates.shape, dtype=bool) if gradients else gates != 1
    first_layer = np.where(touched, layers, n_layers - 1).min(axis=1)
    first_position = np.where(touched, places, length - 1).min(axis=1) * int(positions)
    order = np.lexsort((-first_position, -first_layer))
    return GroupPlan(n_prompts, length, order, first_layer, first_position, n_sequences)


@dataclass(frozen=True)
class Plan:
    """How a request will run; ``explain()`` says it in words.

    ``cost`` is the estimated arithmetic of the plan relative to plain forward passes, one a mask and prompt; ``memory``
    an upper estimate of the bytes that the largest batch takes, with what is kept to start from, and ``free`` the bytes
    that are free now.
    """

    executor: str
    n_asked: int
    n_masks: int
    gradients: bool
    groups: tuple[GroupPlan, ...]
    batches: tuple[tuple[Batch, ...], ...]
    cost: float
    memory: int = 0
    free: int = 0

    def explain(self) -> str:
        """Several lines: what is shared, how it is batched, and the estimated cost."""
        repeated = self.n_asked - self.n_masks
        again = f" ({repeated} repeated, not run again)" if repeated else ""
        lines = [f"{self.n_asked} masks{again}{', with gradients' if self.gradients else ''}", self.executor]
        for group, batches in zip(self.groups, self.batches, strict=True):
            twice = f", each in {group.n_sequences} sequences," if group.n_sequences > 1 else ""
            prompts = f"{group.n_prompts} prompt{'s' if group.n_prompts > 1 else ''}{twice} of {group.length} tokens"
            largest = max((len(batch.masks) for batch in batches), default=0)
            parts = max((len(batch.prompts) for batch in batches), default=1)
            split = f", the prompts in {parts} parts" if parts > 1 else ""
            lines.append(f"{prompts}: {len(batches)} batches of at most {largest} masks{split}")
            starts: dict[tuple[int, int], int] = {}
            for batch in batches:
                key = batch.first_layer, batch.first_position
                starts[key] = starts.get(key, 0) + len(batch.masks)
            for (layer, position), count in sorted(starts.items()):
                lines.append(f"  {count} masks: {_shared(layer, position)}")
        if self.memory:
            needed, free = self.memory / 1e9, self.free / 1e9
            lines.append(f"at most about {needed:.2f} GB of memory a batch; {free:.1f} GB are free")
        lines.append(f"estimated cost: {self.cost:.2f} of plain forward passes, one for each mask and prompt")
        return "\n".join(lines)


def _shared(layer: int, position: int) -> str:
    parts = []
    if layer:
        parts.append(f"the first {layer} layers once a prompt" if layer > 1 else "the first layer once a prompt")
    if position:
        parts.append(f"keys and values of the first {position} positions once a prompt")
    return " and ".join(parts) if parts else "every layer and position"


def batch_memory(
    plans: Sequence[tuple[GroupPlan, tuple[Batch, ...]]], row_bytes: Sequence[int], width: int, n_layers: int
) -> int:
    """Bytes that the largest batch takes, with what it starts from: streams that enter layers, and keys and values.

    Args:
        plans: of each group of prompts, with its batches.
        row_bytes: what a row takes, in each group.
        width: bytes of the residual stream at one position.
        n_layers: layers of the model.
    """
    most = 0
    for (group, batches), one in zip(plans, row_bytes, strict=True):
        rows = max((len(each.masks) * (each.prompts[0].stop - each.prompts[0].start) for each in batches), default=0)
        starts = len({each.first_layer for each in batches} - {0})
        starts += 2 * n_layers if any(each.first_position for each in batches) else 0
        kept = starts * group.n_prompts * group.length * width
        most = max(most, group.n_sequences * (rows * one + kept))
    return most


def estimated_cost(plans: Sequence[tuple[GroupPlan, tuple[Batch, ...]]], gates: FloatArray, cost: PassCost) -> float:
    """Arithmetic of these batches over that of plain passes; 0 where nothing is to be run."""
    spent = plain = 0.0
    for group, batches in plans:
        n_rows = group.n_prompts * group.n_sequences
        plain += len(gates) * n_rows * cost.plain(group.length)
        shared = max((cost.n_layers if b.first_position else b.first_layer for b in batches), default=0)
        spent += n_rows * cost.layers(0, shared, group.length, 0)
        for batch in batches:
            kept = cost.mlps_kept(gates[batch.masks])
            one = cost.ablated(batch.first_layer, group.length, batch.first_position, kept)
            spent += len(batch.masks) * n_rows * one
    return spent / plain if plain else 0.0
