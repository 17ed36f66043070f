"""Whole passes on a card: planned on the host, run layer after layer without waiting for the device."""

from __future__ import annotations

import numpy as np
import torch

from circuitspex import kernels
from circuitspex.ablation.executors.card.block import CardBlock
from circuitspex.ablation.executors.card.constants import Constants
from circuitspex.ablation.executors.card.graphs import Graphs
from circuitspex.ablation.executors.card.lists import LayerWork, layer_works
from circuitspex.ablation.executors.card.plan import CardPlan, card_plan
from circuitspex.ablation.executors.dense import DenseLayer, DenseModel
from circuitspex.ablation.executors.dense_pass import DensePass
from circuitspex.ablation.executors.norms import Norm
from circuitspex.ablation.executors.prepared import Prepared
from circuitspex.ablation.shapes import ReadLogits, Shared
from circuitspex.typing import FloatArray

# A recorded pass makes room for more MLPs than there are on average, which costs more than the host's launches do once
# a pass is long: multiplications of a pass that skips nothing, two operations each (see docs/benchmarks/gpu_cost.md).
# Beside an H100 a host took 1.2 ms for the launches of a layer, and a recorded pass of 1.5e12 .7 ms a layer.
RECORDED_BELOW = 4e12
# A head of this width still fits into one tile of the attention kernel.
_WIDEST_HEAD = 256


class CardForward:
    """Passes without gradients for one group of prompts, as few launches a layer as there are.

    Args:
        given: what passes share; ``why_not`` must have found nothing.
    """

    def __init__(self, given: Prepared) -> None:
        self._given = given
        self._constants = Constants(given)
        self._graphs = Graphs()
        self._one_device = len({layer.device for layer in given.dense.layers}) == 1
        self._weights = sum(_size(layer) for layer in given.dense.layers)

    def __call__(self, host: FloatArray, prompts: slice, first_layer: int, first_position: int) -> ReadLogits:
        """Logits ``[masks * prompts, reads, vocab]``, all prompts of mask 0 first.

        Args:
            host: gates ``(masks, players + 1)``, the last column ones.
            prompts: which prompts of the group.
            first_layer: nothing before this layer is ablated; what passes start from must have been shared.
            first_position: nothing before this position is ablated.
        """
        entry = self._given.residuals[first_layer][prompts, first_position:]
        n_masks = len(host)
        recording = self._one_device and self._graphs.on(entry.device)
        recording = recording and self._weights * entry.shape[0] * entry.shape[1] * n_masks < RECORDED_BELOW
        if recording:  # few numbers of masks, so that few passes are recorded
            host = np.pad(host, ((0, bucket(n_masks) - n_masks), (0, 0)), mode="edge")
        plan = card_plan(self._given, host, len(entry), first_layer, first_position, recorded=recording)
        gates = torch.from_numpy(host.astype(np.float32))
        gates = gates.pin_memory() if entry.device.type == "cuda" else gates

        def work(gates: torch.Tensor) -> ReadLogits:
            return self._run(plan, gates, entry, prompts)

        if not recording:
            return work(gates.to(entry.device, non_blocking=True))
        key = plan, prompts.start, prompts.stop, entry.data_ptr()
        return self._graphs.run(key, gates, entry.device, work)[: n_masks * len(entry)]

    def _run(self, plan: CardPlan, gates: torch.Tensor, entry: torch.Tensor, prompts: slice) -> ReadLogits:
        given, layers = self._given, self._given.dense.layers
        h, x = entry.unsqueeze(0), None
        works: dict[int, LayerWork] = {}
        for index in range(plan.first_layer, len(layers)):
            device = layers[index].device
            if h.device != device or not works:
                h, gates = h.to(device), gates.to(device)
                works = layer_works(given, plan, gates)
            block = CardBlock(given, self._constants, plan, works, gates, prompts)
            if h.ndim == 4:
                h, x = self._first(plan, gates, block, index, h, prompts)
                continue
            if x is None:
                norm, dtype = self._next(index)
                x = kernels.norm(h, **self._constants.norm(norm, device), dtype=dtype)
            h, x = block(index, h, x.to(device), *self._next(index + 1))
        return self._logits(plan, h, x, prompts)

    def _next(self, index: int) -> tuple[Norm, torch.dtype]:
        """The norm that a layer begins with, or the last one, and in which dtype its result is wanted."""
        dense = self._given.dense
        if index == len(dense.layers):
            return dense.norm, dense.unembed.weight.dtype
        return dense.layers[index].norm_1, dense.layers[index].attention.q.weight.dtype

    def _first(
        self, plan: CardPlan, gates: torch.Tensor, block: CardBlock, index: int, h: Shared, prompts: slice
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """A block of a stream that all masks share, ``[1, prompts, pos, d_model]``.

        The attention that leads to the first ablated heads is computed once, the rest for each mask:
        ``[masks, prompts * pos, d_model]``, with its norm for the next block.
        """
        last = index == len(self._given.dense.layers) - 1
        run = DensePass(self._given, gates, None, prompts, plan.first_position)
        h, source, where = run.attention(index, h, self._given.tail if last else None)
        if len(h) == plan.n_masks:
            rows, sources = h.flatten(1, 2), source.expand(h.shape).flatten(1, 2)
            return block.mlp(index, rows, sources, where, *self._next(index + 1))
        h = run.mlp(index, h, source, where)
        return (h if len(h) == 1 else h.flatten(1, 2)), None

    def _logits(self, plan: CardPlan, h: Shared, x: torch.Tensor | None, prompts: slice) -> ReadLogits:
        if h.ndim == 4 or x is None:
            h = h if h.ndim == 4 else h.reshape(len(h), plan.n_prompts, -1, h.shape[-1])
            normed = self._given.dense.norm(self._given.read(h, prompts))
        else:
            normed = self._given.read(x.reshape(len(x), plan.n_prompts, -1, x.shape[-1]), prompts)
        return self._given.unembed(normed).expand(plan.n_masks, -1, -1, -1).flatten(0, 1)


def _size(layer: DenseLayer) -> int:
    """The weights of a block: multiplications for each row."""
    a, mlp = layer.attention, layer.mlp
    parts = (a.q, a.k, a.v, a.o, mlp.up, mlp.out, *(() if mlp.gate is None else (mlp.gate,)))
    return sum(part.weight.numel() for part in parts)


def bucket(n_masks: int) -> int:
    """The next number of masks for which a pass is recorded: at most an eighth more."""
    step = max(1, 1 << max(0, n_masks.bit_length() - 4))
    return step * -(-n_masks // step)


def runs_on(weight: torch.Tensor) -> bool:
    """Whether passes with this weight run as kernels: on CUDA devices, in half precision."""
    return weight.device.type == "cuda" and weight.element_size() == 2 and kernels.use_triton(weight)


def why_not(given: Prepared) -> str | None:
    """None if passes over these prompts can run so, else the reason: other passes give the same."""
    dense: DenseModel = given.dense
    weight = dense.layers[0].attention.o.weight
    if not runs_on(weight):
        return f"no kernels for {weight.dtype} on {weight.device.type}"
    if dense.is_quantized:
        return "quantised weights"
    norms = [dense.norm]
    for layer in dense.layers:
        norms += [norm for norm in (layer.norm_1, layer.norm_2, layer.post_1, layer.post_2) if norm is not None]
    if any(norm.parts is None for norm in norms):
        return "a norm of an unknown kind"
    if any(layer.attention.d_head > _WIDEST_HEAD for layer in dense.layers):
        return f"heads wider than {_WIDEST_HEAD}"
    if any(places.window is None for places in given.clean.positions):
        return "attention masks that are no window"
    return None
