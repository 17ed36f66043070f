"""Whole passes on a card: planned on the host, sent in one piece, run layer after layer without waiting for it."""

from __future__ import annotations

import torch

from circuitspex import kernels
from circuitspex.ablation.executors.card.block import CardBlock
from circuitspex.ablation.executors.card.constants import Constants
from circuitspex.ablation.executors.card.plan import CardPlan, card_plan
from circuitspex.ablation.executors.card.upload import Upload
from circuitspex.ablation.executors.dense import DenseModel
from circuitspex.ablation.executors.dense_pass import DensePass
from circuitspex.ablation.executors.norms import Norm
from circuitspex.ablation.executors.prepared import Prepared
from circuitspex.ablation.shapes import ReadLogits, Shared
from circuitspex.typing import FloatArray

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

    def __call__(self, host: FloatArray, prompts: slice, first_layer: int, first_position: int) -> ReadLogits:
        """Logits ``[masks * prompts, reads, vocab]``, all prompts of mask 0 first.

        Args:
            host: gates ``(masks, players + 1)``, the last column ones.
            prompts: which prompts of the group.
            first_layer: nothing before this layer is ablated; what passes start from must have been shared.
            first_position: nothing before this position is ablated.
        """
        entry = self._given.residuals[first_layer][prompts, first_position:]
        upload = Upload()
        plan = card_plan(self._given, host, len(entry), first_layer, first_position, upload)
        whole = upload.packed(pinned=entry.device.type == "cuda").to(entry.device, non_blocking=True)
        return self._run(plan, whole, entry, prompts)

    def _run(self, plan: CardPlan, whole: torch.Tensor, entry: torch.Tensor, prompts: slice) -> ReadLogits:
        given, layers = self._given, self._given.dense.layers
        h, x = entry.unsqueeze(0), None
        for index in range(plan.first_layer, len(layers)):
            device = layers[index].device
            h, whole = h.to(device), whole.to(device)
            block = CardBlock(given, self._constants, plan, whole, prompts)
            if h.ndim == 4:
                h, x = self._first(plan, whole, index, h, prompts), None
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

    def _first(self, plan: CardPlan, whole: torch.Tensor, index: int, h: Shared, prompts: slice) -> torch.Tensor:
        """A block of a stream that all masks share, ``[1, prompts, pos, d_model]``, up to where they part.

        The attention that leads to the first ablated heads is computed once; the rest runs for each mask:
        ``[masks, prompts * pos, d_model]``.
        """
        last = index == len(self._given.dense.layers) - 1
        run = DensePass(self._given, plan.gates.of(whole), None, prompts, plan.first_position)
        h, source, where = run.attention(index, h, self._given.tail if last else None)
        h = run.mlp(index, h, source, where)
        return h if len(h) == 1 and plan.n_masks > 1 else h.flatten(1, 2)

    def _logits(self, plan: CardPlan, h: Shared, x: torch.Tensor | None, prompts: slice) -> ReadLogits:
        if h.ndim == 4 or x is None:
            h = h if h.ndim == 4 else h.unflatten(1, (plan.n_prompts, -1))
            normed = self._given.dense.norm(self._given.read(h, prompts))
        else:
            normed = self._given.read(x.unflatten(1, (plan.n_prompts, -1)), prompts)
        return self._given.unembed(normed).expand(plan.n_masks, -1, -1, -1).flatten(0, 1)


def runs_on(weight: torch.Tensor) -> bool:
    """Whether passes with this weight run as kernels: on CUDA devices, in half precision."""
    return weight.device.type == "cuda" and weight.element_size() == 2 and kernels.use_triton(weight)


def why_not(given: Prepared) -> str | None:
    """None if passes over these prompts can run so, else the reason: other passes give the same."""
    dense: DenseModel = given.dense
    weight = dense.layers[0].attention.o.weight
    if not runs_on(weight):
        return f"no kernels for {weight.dtype} on {weight.device.type}"
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
