"""What one batch of masks needs in each layer, decided on the host from its gates, before the pass begins.

The plan holds no numbers, only how the arrays lie in the upload: two batches with equal plans run the same launches on
the same shapes, so that a recorded pass can be replayed with other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from circuitspex.ablation.executors.card.upload import Piece, Upload
from circuitspex.ablation.executors.prepared import Prepared
from circuitspex.kernels.work import blocks_by_mask, rows_by_block, tile_rows
from circuitspex.typing import FloatArray

# Along K a tile of rows belongs to one mask; with fewer rows under a mask than this, cuBLAS on gated inputs is faster.
LEAST_ROWS = 128
# Above this share of blocks kept, skipping the others saves less than a product of the whole gains in cuBLAS.
MOST_KEPT = 0.85
# Groups of fewer neurons than this are gated one by one.
LEAST_NEURONS = 64


@dataclass(frozen=True)
class Rows:
    """``kernels.work.BlockRows``, in the upload."""

    members: Piece
    starts: Piece
    tiles: Piece
    n_tiles: Piece
    tile_rows: int


@dataclass(frozen=True)
class Blocks:
    """``kernels.work.MaskBlocks``, in the upload."""

    blocks: Piece
    starts: Piece


@dataclass(frozen=True)
class HeadPlan:
    """Gates ``[masks, pos or 1, heads]``, and what is skipped: rows of query heads and of key and value heads (of all
    three beside each other in ``joint``, where their weights are), and blocks of the output projection. None skips
    nothing.
    """

    gates: Piece
    joint: Rows | None
    queries: Rows | None
    keys: Rows | None
    blocks: Blocks | None


@dataclass(frozen=True)
class MlpPlan:
    """The gate of each mask; and which masks compute the MLP, beside each other, and each mask's place there."""

    gain: Piece
    masks: Piece | None
    slots: Piece | None


@dataclass(frozen=True)
class NeuronPlan:
    """Gates ``[masks, neurons]``, or ``[masks, groups]`` where groups are skipped."""

    gates: Piece
    rows: Rows | None
    blocks: Blocks | None


@dataclass(frozen=True)
class LayerPlan:
    """What is gated in one layer."""

    head: HeadPlan | None
    mlp: MlpPlan | None
    neurons: NeuronPlan | None


@dataclass(frozen=True)
class CardPlan:
    """The plan of a batch: all gates ``[masks, players + 1]``, and each layer from ``first_layer`` on."""

    n_masks: int
    n_prompts: int
    first_layer: int
    first_position: int
    gates: Piece
    layers: tuple[LayerPlan, ...]

    def layer(self, index: int) -> LayerPlan:
        """By the layer's own number."""
        return self.layers[index - self.first_layer]


def card_plan(
    given: Prepared,
    host: FloatArray,
    n_prompts: int,
    first_layer: int,
    first_position: int,
    upload: Upload,
    *,
    fixed: bool = False,
) -> CardPlan:
    """Plan a batch.

    Args:
        given: what passes share.
        host: gates ``(masks, players + 1)``, the last column ones.
        n_prompts: prompts in this batch.
        first_layer: nothing before it is ablated.
        first_position: nothing before it is ablated.
        upload: where the arrays go.
        fixed: make room for the masks that compute an MLP by a bound that most batches share, so that their plans are
            equal; else exactly as much as each layer needs.
    """
    last = len(given.dense.layers) - 1
    places = [
        _Place(
            upload,
            n_prompts,
            given.n_positions - first_position,
            given.tail if index == last else given.n_positions - first_position,
        )
        for index in range(first_layer, last + 1)
    ]
    sites: dict[tuple[int, str], FloatArray] = {}
    for (index, kind), site in given.gates.items():
        if index >= first_layer:
            start = given.n_positions - places[index - first_layer].leaving
            sites[index, kind] = site.values(host, slice(start, None))
    # One choice for all layers, so that it does not change from batch to batch with single gates.
    skips = {kind: _kept(sites, kind) <= MOST_KEPT for kind in ("head", "neurons")}
    room = _room(sites, len(host)) if fixed else None
    found = []
    for index, place in enumerate(places, first_layer):
        layer = given.dense.layers[index]
        head, mlp, neurons = (sites.get((index, kind)) for kind in ("head", "mlp", "neurons"))
        width = given.gates[index, "neurons"].width if neurons is not None else 0
        found.append(
            LayerPlan(
                None
                if head is None
                else place.heads(head, layer.attention.n_kv, skips["head"], joined=layer.attention.joined is not None),
                None if mlp is None else place.mlp(mlp, room, gather=neurons is None),
                None
                if neurons is None
                else place.neurons(neurons, width, skips["neurons"] and layer.mlp.activation_name is not None),
            )
        )
    return CardPlan(len(host), n_prompts, first_layer, first_position, upload.put(host), tuple(found))


def _kept(sites: dict[tuple[int, str], FloatArray], kind: str) -> float:
    """The share of the units of a kind that are kept at some position; 1 where there are none."""
    shares = [float((values != 0).any(axis=1).mean()) for (_, each), values in sites.items() if each == kind]
    return sum(shares) / len(shares) if shares else 1.0


def _room(sites: dict[tuple[int, str], FloatArray], n_masks: int) -> int:
    """A number of masks that is enough for the MLP of every layer, and seldom different in the next batch."""
    counts = [int((values[:, 0, 0] != 0).sum()) for (_, kind), values in sites.items() if kind == "mlp"]
    if not counts:
        return n_masks
    kept = sum(counts) / (len(counts) * n_masks)
    bound = n_masks * kept + 3.5 * (n_masks * kept * (1 - kept)) ** 0.5
    step = max(1, n_masks // 16)
    return min(n_masks, step * -(-max(1, *counts, int(bound)) // step))


@dataclass(frozen=True)
class _Place:
    """One layer of the plan: the batch, and its positions before and after attention."""

    upload: Upload
    n_prompts: int
    entering: int
    leaving: int

    def heads(self, values: FloatArray, n_kv: int, skip: bool, *, joined: bool) -> HeadPlan:
        on = (values != 0).any(axis=1)
        joint = queries = keys = None
        if skip:
            # A key/value head serves while one of its query heads is on, at whatever position.
            serving = on.reshape(len(on), n_kv, -1).any(axis=2)
            if joined:
                joint = self._rows(np.concatenate([on, serving, serving], axis=1), self.entering)
            else:
                queries, keys = self._rows(on, self.entering), self._rows(serving, self.entering)
        blocks = self._blocks(on) if skip else None
        return HeadPlan(self._floats(values), joint, queries, keys, blocks)

    def mlp(self, values: FloatArray, room: int | None, *, gather: bool) -> MlpPlan | None:
        if values.shape[1] > 1:  # gated by position: like any other numbers, elsewhere
            return None
        gain = values[:, 0, 0]
        kept = np.nonzero(gain)[0]
        room = max(1, len(kept)) if room is None else room
        if not gather or room > MOST_KEPT * len(gain):
            return MlpPlan(self._floats(gain), None, None)
        masks = np.zeros(room, dtype=np.int32)
        masks[: len(kept)] = kept
        slots = np.full(len(gain), -1, dtype=np.int32)
        slots[kept] = np.arange(len(kept))
        return MlpPlan(self._floats(gain), self.upload.put(masks), self.upload.put(slots))

    def neurons(self, values: FloatArray, width: int, skip: bool) -> NeuronPlan | None:
        if values.shape[1] > 1:
            return None
        values = values[:, 0]
        if not skip or width < LEAST_NEURONS:
            return NeuronPlan(self._floats(values), None, None)
        values = values[:, ::width]
        on = values != 0
        return NeuronPlan(self._floats(values), self._rows(on, self.leaving), self._blocks(on))

    def _floats(self, values: FloatArray) -> Piece:
        return self.upload.put(values.astype(np.float32))

    def _rows(self, on: Any, positions: int) -> Rows:
        rows = self.n_prompts * positions
        members, starts, tiles, n_tiles = (self.upload.put(array) for array in rows_by_block(on, rows))
        return Rows(members, starts, tiles, n_tiles, tile_rows(len(on) * rows))

    def _blocks(self, on: Any) -> Blocks | None:
        if self.n_prompts * self.leaving < LEAST_ROWS:
            return None
        blocks, starts = (self.upload.put(array) for array in blocks_by_mask(on))
        return Blocks(blocks, starts)
