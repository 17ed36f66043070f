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
from circuitspex.ablation.executors.site_gate import SiteGate
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
    sites = {layer: site for layer in leaving if (site := given.gates.get((layer, "head"))) is not None}
    values = {layer: each[:, None] for layer, each in _gathered(sites, gates).items()}
    for layer, site in sites.items():
        if layer not in values:  # gated by position
            values[layer] = site.of(gates, slice(given.n_positions - leaving[layer], None))[:, 0].to(gates.device)
    found = {layer: HeadWork(value, None, None, None, None) for layer, value in values.items()}
    if not plan.skip_heads:
        return found
    rows = plan.n_prompts * (given.n_positions - plan.first_position)
    shapes = {}
    for layer, value in values.items():
        a = given.dense.layers[layer].attention
        shapes[layer] = *value.shape[1:], a.n_kv, int(a.joined is not None)
    for (_, _, n_kv, joined), layers in _alike(shapes).items():
        on = (torch.stack([values[layer] for layer in layers]) != 0).any(2)  # layers, masks, heads
        # A key/value head serves while one of its query heads is on, at whatever position.
        serving = on.reshape(*on.shape[:2], n_kv, -1).any(3)
        blocks = blocks_by_mask(on)
        joint = rows_by_block(torch.cat([on, serving, serving], dim=2), rows) if joined else None
        queries = None if joined else rows_by_block(on, rows)
        keys = None if joined or not plan.skip_keys else rows_by_block(serving, rows)
        for place, layer in enumerate(layers):
            found[layer] = HeadWork(
                values[layer],
                None if joint is None else joint[place],
                None if queries is None else queries[place],
                None if keys is None else keys[place],
                blocks[place] if plan.skips_out(leaving[layer]) else None,
            )
    return found


def _mlps(given: Prepared, plan: CardPlan, gates: Tensor, leaving: dict[int, int]) -> dict[int, MlpWork]:
    sites = {layer: site for layer in leaving if (site := given.gates.get((layer, "mlp"))) is not None}
    gains = _gathered(sites, gates)
    found = {layer: MlpWork(gain[:, 0], None, None) for layer, gain in gains.items()}
    if plan.rooms:
        layers = [layer for layer, _ in plan.rooms]
        on = torch.cat([gains[layer] for layer in layers], dim=1).T != 0
        masks, slots = beside(on, max(room for _, room in plan.rooms))
        for place, (layer, room) in enumerate(plan.rooms):
            found[layer] = MlpWork(gains[layer][:, 0], masks[place, :room], slots[place])
    return found


def _neurons(given: Prepared, plan: CardPlan, gates: Tensor, leaving: dict[int, int]) -> dict[int, NeuronWork]:
    sites = {layer: site for layer in leaving if (site := given.gates.get((layer, "neurons"))) is not None}
    found = {}
    groups: dict[int, Tensor] = {}
    for layer, values in _gathered(sites, gates).items():
        width = sites[layer].width
        if plan.skips_groups_of(width) and given.dense.layers[layer].mlp.activation_name is not None:
            groups[layer] = values[:, ::width].contiguous()
        else:
            found[layer] = NeuronWork(values, None, None)
    for (_, positions), layers in _alike(
        {layer: (each.shape[1], leaving[layer]) for layer, each in groups.items()}
    ).items():
        on = torch.stack([groups[layer] for layer in layers]) != 0
        rows, blocks = rows_by_block(on, plan.n_prompts * positions), blocks_by_mask(on)
        for place, layer in enumerate(layers):
            out = blocks[place] if plan.skips_out(positions) else None
            found[layer] = NeuronWork(groups[layer], rows[place], out)
    return found


def _gathered(sites: dict[int, SiteGate], gates: Tensor) -> dict[int, Float[Tensor, "masks units"]]:
    """The gate of each unit, contiguous, of sites that are gated at all positions alike; a few launches for all."""
    found: dict[int, Tensor] = {}
    everywhere: dict[int, tuple[int, ...]] = {
        layer: (site.index.shape[1],) for layer, site in sites.items() if len(site.index) == 1
    }
    for layers in _alike(everywhere).values():
        index = torch.stack([sites[layer].index[0].to(gates.device) for layer in layers])
        values = gates[:, index].transpose(0, 1).contiguous()
        found.update(zip(layers, values, strict=True))
    return found


def _alike(shapes: dict[int, tuple[int, ...]]) -> dict[tuple[int, ...], list[int]]:
    """The layers of each shape, whose lists are made together."""
    found: dict[tuple[int, ...], list[int]] = {}
    for layer, shape in shapes.items():
        found.setdefault(shape, []).append(layer)
    return found


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
