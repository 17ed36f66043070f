"""Lists of work made on the device from the gates, for all layers at once and without waiting.

``kernels.work`` has the same lists, one layer at a time in NumPy: the reference of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuitspex.ablation.executors.card.plan import CardPlan
from circuitspex.ablation.executors.prepared import Prepared
from circuitspex.kernels.work import BlockRows, MaskBlocks, most_tiles, tile_rows


@dataclass(frozen=True)
class HeadWork:
    """Gates ``[masks, pos or 1, heads]``, and what is skipped: rows of query heads and of key and value heads (of all
    three beside each other in ``joint``, where their weights are), and blocks of the output projection. None skips
    nothing.
    """

    gates: Float[Tensor, "masks pos_or_1 heads"]
    joint: BlockRows | None
    queries: BlockRows | None
    keys: BlockRows | None
    blocks: MaskBlocks | None


@dataclass(frozen=True)
class MlpWork:
    """The gate of each mask; and which masks compute the MLP, beside each other, and each mask's place there."""

    gain: Float[Tensor, " masks"]
    masks: Int[Tensor, " room"] | None
    slots: Int[Tensor, " masks"] | None


@dataclass(frozen=True)
class NeuronWork:
    """Gates ``[masks, neurons]``, or ``[masks, groups]`` where groups are skipped."""

    gates: Float[Tensor, "masks neurons"]
    rows: BlockRows | None
    blocks: MaskBlocks | None


@dataclass(frozen=True)
class LayerWork:
    """What is gated in one layer; None for what is not, or is gated by position in another way."""

    head: HeadWork | None = None
    mlp: MlpWork | None = None
    neurons: NeuronWork | None = None


def layer_works(given: Prepared, plan: CardPlan, gates: Float[Tensor, "masks players_and_one"]) -> dict[int, LayerWork]:
    """The work of each layer from the plan's first one on; ``gates`` float32 on the device where it is done."""
    last = len(given.dense.layers) - 1
    entering = given.n_positions - plan.first_position
    leaving = {layer: given.tail if layer == last else entering for layer in range(plan.first_layer, last + 1)}
    heads = _heads(given, plan, gates, leaving)
    mlps = _mlps(given, plan, gates, leaving)
    neurons = _neurons(given, plan, gates, leaving)
    return {layer: LayerWork(heads.get(layer), mlps.get(layer), neurons.get(layer)) for layer in leaving}


def _heads(given: Prepared, plan: CardPlan, gates: Tensor, leaving: dict[int, int]) -> dict[int, HeadWork]:
    entering = given.n_positions - plan.first_position
    values = {}
    for layer, positions in leaving.items():
        site = given.gates.get((layer, "head"))
        if site is not None:
            values[layer] = site.of(gates, slice(given.n_positions - positions, None))[:, 0]
    found = {layer: HeadWork(value, None, None, None, None) for layer, value in values.items()}
    if not plan.skip_heads:
        return found
    for alike in _alike(
        {
            layer: (
                value.shape[2],
                given.dense.layers[layer].attention.n_kv,
                given.dense.layers[layer].attention.joined is not None,
            )
            for layer, value in values.items()
        }
    ):
        _, n_kv, joined = alike.shape
        on = torch.stack([(values[layer] != 0).any(1) for layer in alike.layers])  # layers, masks, heads
        # A key/value head serves while one of its query heads is on, at whatever position.
        serving = on.reshape(*on.shape[:2], n_kv, -1).any(3)
        rows = plan.n_prompts * entering
        if joined:
            joint = rows_by_block(torch.cat([on, serving, serving], dim=2), rows)
            queries = keys = [None] * len(joint)
        else:
            queries, keys = rows_by_block(on, rows), rows_by_block(serving, rows)
            joint = [None] * len(queries)
        blocks = blocks_by_mask(on)
        for place, layer in enumerate(alike.layers):
            out = blocks[place] if plan.skips_out(leaving[layer]) else None
            found[layer] = HeadWork(values[layer], joint[place], queries[place], keys[place], out)
    return found


def _mlps(given: Prepared, plan: CardPlan, gates: Tensor, leaving: dict[int, int]) -> dict[int, MlpWork]:
    layers = [
        layer for layer in leaving if (site := given.gates.get((layer, "mlp"))) is not None and len(site.index) == 1
    ]
    if not layers:
        return {}
    gain = torch.stack([given.gates[layer, "mlp"].of(gates, slice(None))[:, 0, 0, 0] for layer in layers])
    masks, slots = beside(gain != 0, plan.room) if plan.room is not None else (None, None)
    found = {}
    for place, layer in enumerate(layers):
        # Where neurons are gated too, each mask has its own rows and none is left out.
        gathers = masks is not None and slots is not None and (layer, "neurons") not in given.gates
        found[layer] = MlpWork(gain[place], masks[place] if gathers else None, slots[place] if gathers else None)
    return found


def _neurons(given: Prepared, plan: CardPlan, gates: Tensor, leaving: dict[int, int]) -> dict[int, NeuronWork]:
    found = {}
    groups: dict[int, Tensor] = {}
    for layer in leaving:
        site = given.gates.get((layer, "neurons"))
        if site is None or len(site.index) > 1:
            continue
        values = site.of(gates, slice(None))[:, 0, 0]
        known = given.dense.layers[layer].mlp.activation_name is not None
        if plan.skips_groups_of(site.width) and known:
            groups[layer] = values[:, :: site.width].contiguous()
        else:
            found[layer] = NeuronWork(values.contiguous(), None, None)
    for alike in _alike({layer: (value.shape[1], leaving[layer]) for layer, value in groups.items()}):
        on = torch.stack([groups[layer] for layer in alike.layers]) != 0
        rows, blocks = rows_by_block(on, plan.n_prompts * alike.shape[1]), blocks_by_mask(on)
        for place, layer in enumerate(alike.layers):
            out = blocks[place] if plan.skips_out(leaving[layer]) else None
            found[layer] = NeuronWork(groups[layer], rows[place], out)
    return found


@dataclass(frozen=True)
class _Alike:
    """Layers whose lists have the same shape, so that they are made together."""

    shape: tuple[int, ...]
    layers: list[int]


def _alike(shapes: dict[int, tuple[int, ...]]) -> list[_Alike]:
    found: dict[tuple[int, ...], list[int]] = {}
    for layer, shape in shapes.items():
        found.setdefault(shape, []).append(layer)
    return [_Alike(shape, layers) for shape, layers in found.items()]


def rows_by_block(on: Bool[Tensor, "layers masks blocks"], rows: int) -> list[BlockRows]:
    """``BlockRows`` of each layer; ``rows`` under each mask. They share one tensor of members."""
    n_layers, n_masks, n_blocks = on.shape
    by_block = on.transpose(1, 2).contiguous()
    masks = torch.arange(n_masks, dtype=torch.int32, device=on.device).expand(by_block.shape)
    members, starts = _compact(by_block.flatten(0, 1), masks.flatten(0, 1))
    step = tile_rows(n_masks * rows)
    counts = by_block.sum(2)
    ends = ((counts * rows + step - 1) // step).cumsum(1)  # tiles up to each block, of each layer
    tile = torch.arange(most_tiles(n_masks, n_blocks, rows), device=on.device).expand(n_layers, -1).contiguous()
    block = torch.searchsorted(ends, tile, right=True).clamp_max(n_blocks - 1)
    before = torch.nn.functional.pad(ends, (1, 0)).gather(1, block)
    tiles = torch.stack([block, (tile - before) * step], dim=2).to(torch.int32)
    totals = ends[:, -1:].to(torch.int32)
    return [
        BlockRows(members, starts[layer * n_blocks : (layer + 1) * n_blocks + 1], tiles[layer], totals[layer], step)
        for layer in range(n_layers)
    ]


def blocks_by_mask(on: Bool[Tensor, "layers masks blocks"]) -> list[MaskBlocks]:
    """``MaskBlocks`` of each layer. They share one tensor of blocks."""
    n_layers, n_masks, n_blocks = on.shape
    numbers = torch.arange(n_blocks, dtype=torch.int32, device=on.device).expand(on.shape)
    blocks, starts = _compact(on.flatten(0, 1), numbers.flatten(0, 1))
    return [
        MaskBlocks(blocks, starts[layer * n_masks : (layer + 1) * n_masks + 1], n_blocks) for layer in range(n_layers)
    ]


def beside(
    on: Bool[Tensor, "layers masks"], room: int
) -> tuple[Int[Tensor, "layers room"], Int[Tensor, "layers masks"]]:
    """The masks that are on beside each other (0 in what room is left), and the place of each there, or -1."""
    place = on.cumsum(1) - 1
    masks = torch.zeros(len(on), room + 1, dtype=torch.int32, device=on.device)
    numbers = torch.arange(on.shape[1], dtype=torch.int32, device=on.device).expand(on.shape)
    masks.scatter_(1, torch.where(on, place, room).clamp_max(room), numbers)
    return masks[:, :room].contiguous(), torch.where(on, place, -1).to(torch.int32)


def _compact(on: Bool[Tensor, "lists items"], values: Int[Tensor, "lists items"]) -> tuple[Tensor, Tensor]:
    """The values that are on, list after list, and where each list starts (and the last ends), int32."""
    size = on.numel()
    place = torch.where(on.flatten(), on.flatten().cumsum(0) - 1, size)
    kept = torch.zeros(size + 1, dtype=torch.int32, device=on.device)
    kept.scatter_(0, place, values.flatten())
    starts = torch.nn.functional.pad(on.sum(1).cumsum(0), (1, 0)).to(torch.int32)
    return kept, starts
