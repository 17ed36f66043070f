"""The fast way to ablate edges: what sources write is kept in one buffer, and each layer mixes it in one product.

With ``D_u = out_u - base_u`` of this very pass, destination d reads

    x_d = constant + sum_u base_u + sum_u g_ud D_u,

which is the residual stream without what its closed edges would have carried. The edges into the destinations of a
layer come from the same sources, the first ones of the model; so all of them are one product of the gates ``[masks,
targets, sources]`` with the buffer ``[masks, sources, prompts * pos * d_model]``.

Gradients are taken backwards layer by layer, by hand. What sources wrote has its gradient in one buffer too, to which
each destination adds before the source is reached. A layer is computed again from what it read, so that beside the
buffer, its gradient and what was read nothing is kept; or, where there is room, what it made is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuitspex.ablation.edges.attention_parts import EdgeLayerParts, Read
from circuitspex.ablation.executors.clean import CleanPass
from circuitspex.ablation.executors.dense import DenseModel
from circuitspex.ablation.shapes import ReadLogits, Reads
from circuitspex.components.edges import EdgeGraph

EdgeGates = Float[Tensor, "masks edges *pos"]
"""1 = open, 0 = closed, of every edge of the graph; the last axis is there where positions have gates of their own."""


@dataclass(frozen=True)
class Stage:
    """One product: the destinations ``first`` to ``last`` of the graph, which read the same sources."""

    layer: int
    first: int
    last: int
    n_sources: int
    kind: str
    """'attention', 'mlp' or 'logits'."""

    @property
    def n_targets(self) -> int:
        """How many destinations read."""
        return self.last - self.first


def stages_of(graph: EdgeGraph) -> tuple[Stage, ...]:
    """The products of a pass, in the order of computation."""
    found, at = [], 0
    for layer, about in enumerate(graph.layers):
        n = about.n_heads + 2 * graph.n_keys(layer)
        found.append(Stage(layer, at, at + n, int(graph.n_read[at]), "attention"))
        at += n
        if about.mlp:
            found.append(Stage(layer, at, at + 1, int(graph.n_read[at]), "mlp"))
            at += 1
    return (*found, Stage(len(graph.layers), at, at + 1, int(graph.n_read[at]), "logits"))


def biases_before(stage: Stage, layers: list[EdgeLayerParts], *, parallel: bool) -> Float[Tensor, " d_model"] | None:
    """The biases of attention that have been added before a destination of this stage reads; no source writes them."""
    after = stage.layer + int(stage.kind == "mlp" and not parallel)
    found = [parts.constant for parts in layers[:after] if parts.constant is not None]
    return torch.stack(found).sum(0) if found else None


class EdgesFused:
    """Logits at the positions that are read with edges closed, for one group of prompts of equal length.

    Args:
        graph: the edges.
        dense: the model's parts.
        clean: its unablated pass over these prompts.
        base: what the sources write in the baseline ``[sources, prompts or 1, pos, d_model]``; None for zero.
        reads: the positions whose logits are wanted, ``[prompts, reads]``.

    ``recomputes`` says whether layers are computed again for gradients, which takes a fraction of the memory.

    Raises:
        NotDenseError: heads have no share of what their layer adds.
    """

    masks_at_once: int | None = None

    def __init__(
        self, graph: EdgeGraph, dense: DenseModel, clean: CleanPass, base: Tensor | None, reads: Reads
    ) -> None:
        self.graph, self.dense, self.clean, self.base = graph, dense, clean, base
        self.recomputes = True
        self.reads = reads.cpu()
        self.stages = stages_of(graph)
        self.layers = [EdgeLayerParts.of(layer, ungrouped=graph.ungrouped) for layer in dense.layers]
        self._sums = self._base_streams()

    def __call__(self, gates: EdgeGates, prompts: slice) -> ReadLogits:
        """Logits ``[masks * prompts, reads, vocab]``, all prompts of mask 0 first; differentiable in the gates."""
        if torch.is_grad_enabled() and gates.requires_grad:
            return _Pass.apply(gates, self, prompts)  # type: ignore[no-any-return,no-untyped-call]
        with torch.no_grad():
            return _Run(self, gates, prompts).logits()

    def written(self) -> Float[Tensor, "sources prompts pos d_model"]:
        """What every source writes with all edges open; it is run on all prompts."""
        gates = self.clean.entry.new_ones((1, len(self.graph)))
        with torch.no_grad():
            run = _Run(self, gates, slice(None))
            run.logits()
        found = run.buffer[0].reshape(len(self.graph.sources), *self.clean.entry.shape)
        return found if self.base is None else found + self.base

    def _base_streams(self) -> list[Tensor]:
        """By stage: what a destination reads with all its edges closed, ``[prompts or 1, pos, d_model]``."""
        entry = self.clean.entry
        stream = torch.zeros_like(entry[:1])
        found, at = [], 0
        for stage in self.stages:
            if self.base is not None and stage.n_sources > at:
                stream = stream + self.base[at : stage.n_sources].sum(0)
            at = stage.n_sources
            biases = biases_before(stage, self.layers, parallel=self.graph.parallel)
            found.append(stream if biases is None else stream + biases.to(stream))
        return found


class _Run:
    """One pass over some masks and prompts; ``read`` and ``made`` are what each stage read and gave, where kept."""

    def __init__(self, given: EdgesFused, gates: EdgeGates, prompts: slice, *, keep: bool = False) -> None:
        self.given, self.gates, self.prompts = given, gates, prompts
        self.entry = given.clean.entry[prompts]
        self.masks = gates.shape[0]
        self.shape = self.entry.shape  # prompts, pos, d_model
        self.buffer = self.entry.new_empty((self.masks, len(given.graph.sources), self.entry.numel()))
        self.read: list[Read] | None = [] if keep else None
        self.made: list[Tensor] | None = [] if keep and not given.recomputes else None

    def logits(self) -> ReadLogits:
        """The pass itself."""
        self._write(0, self.entry[None, None])
        at = 1
        for number, stage in enumerate(self.given.stages):
            x = self.mixed(number, stage)
            if self.read is not None:
                self.read.append(x)
            with torch.set_grad_enabled(self.made is not None):
                out = self.outputs(stage, x if self.made is None else x.requires_grad_(True))
            if self.made is not None:
                self.made.append(out)
                out = out.detach()
            if stage.kind == "logits":
                return out
            self._write(at, out)
            at += out.shape[1]
        raise AssertionError("a graph ends at the logits")

    def gates_of(self, stage: Stage) -> Tensor:
        """``[masks, targets, sources]``, with positions last where they have gates of their own."""
        first = self.given.graph.first
        some = self.gates[:, int(first[stage.first]) : int(first[stage.last])]
        return some.reshape(self.masks, stage.n_targets, stage.n_sources, *some.shape[2:])

    def mixed(self, number: int, stage: Stage) -> Read:
        """What the destinations of a stage read."""
        base = self._base(self.given._sums[number])
        g = self.gates_of(stage)
        written = self.buffer[:, : stage.n_sources]
        if g.ndim == 3:
            x = torch.baddbmm(base.reshape(1, 1, -1), g, written)
        else:
            by_place = torch.einsum("mtus,mupsd->mtpsd", g, _apart(written, self.shape))
            x = by_place.flatten(2) + base.reshape(1, 1, -1)
        return x.view(*x.shape[:2], *self.shape)

    def outputs(self, stage: Stage, x: Read) -> Tensor:
        """What the sources of a stage write; at the end the logits."""
        if stage.kind == "logits":
            return self._unembedded(x)
        parts = self.given.layers[stage.layer]
        if stage.kind == "mlp":
            return parts.mlp(x)
        return parts.heads(x, self.given.clean.positions[stage.layer])

    def _unembedded(self, x: Read) -> ReadLogits:
        """The logits of what the last destination reads, where they are wanted."""
        given, reads = self.given, self.given.reads[self.prompts]
        rows = x[:, 0, torch.arange(len(reads))[:, None], reads]  # masks, prompts, reads, d_model
        dense = given.dense
        logits = dense.unembed(dense.norm(rows).to(dense.unembed.weight.device))
        capped = dense.softcap * torch.tanh(logits / dense.softcap) if dense.softcap else logits
        return capped.flatten(0, 1)

    def _base(self, stream: Tensor) -> Tensor:
        stream = stream[self.prompts] if len(stream) > 1 else stream
        return stream.expand(self.shape)

    def _write(self, at: int, out: Tensor) -> None:
        """Into the buffer, less the baseline."""
        places = _apart(self.buffer[:, at : at + out.shape[1]], self.shape)
        if self.given.base is None:
            places.copy_(out)
        else:
            base = self.given.base[at : at + out.shape[1]]
            places.copy_(out)
            places.sub_(base[:, self.prompts] if base.shape[1] > 1 else base)


class _Pass(torch.autograd.Function):
    """The pass with its backward pass by hand."""

    @staticmethod
    def forward(ctx: Any, gates: EdgeGates, given: EdgesFused, prompts: slice) -> ReadLogits:
        run = _Run(given, gates.detach(), prompts, keep=True)
        ctx.run = run
        return run.logits()

    @staticmethod
    def backward(ctx: Any, *grads: ReadLogits) -> tuple[EdgeGates, None, None]:
        run: _Run = ctx.run
        assert run.read is not None
        slopes = torch.zeros_like(run.gates)
        given = torch.empty_like(run.buffer)  # the gradient of what sources wrote; the logits read all of it first
        first = run.given.graph.first
        at = run.buffer.shape[1]
        for number in reversed(range(len(run.given.stages))):
            stage = run.given.stages[number]
            x = run.read[number].requires_grad_(True)
            if run.made is not None:
                out = run.made.pop()
            else:
                with torch.enable_grad():
                    out = run.outputs(stage, x)
            slope = grads[0]
            if stage.kind != "logits":
                at -= out.shape[1]
                slope = _apart(given[:, at : at + out.shape[1]], run.shape)
            (dx,) = torch.autograd.grad(out, x, slope.to(out.dtype))
            run.read[number] = x.new_empty(0)  # it has served
            _add(run, stage, dx.flatten(2), given, slopes[:, int(first[stage.first]) : int(first[stage.last])])
        return slopes, None, None


def _add(run: _Run, stage: Stage, dx: Tensor, given: Tensor, slopes: Tensor) -> None:
    """The slopes of a stage's gates, and its share of the gradient of what the sources wrote."""
    written, before = run.buffer[:, : stage.n_sources], given[:, : stage.n_sources]
    g = run.gates_of(stage)
    if g.ndim == 3:
        slopes.copy_(torch.bmm(dx, written.transpose(1, 2)).flatten(1))
        before.baddbmm_(g.transpose(1, 2), dx, beta=0.0 if stage.kind == "logits" else 1.0)
        return
    by_place, dx = _apart(written, run.shape), _apart(dx, run.shape)
    slopes.copy_(torch.einsum("mtpsd,mupsd->mtus", dx, by_place).flatten(1, 2))
    if stage.kind == "logits":
        before.zero_()
    _apart(before, run.shape).add_(torch.einsum("mtus,mtpsd->mupsd", g, dx))


def _apart(flat: Tensor, shape: torch.Size) -> Tensor:
    """``[masks, parts, prompts * pos * d_model]`` with the last axis as three."""
    return flat.view(*flat.shape[:2], *shape)


def numbers_a_row(
    graph: EdgeGraph, d_model: int, d_mlp: int, n_positions: int, *, gradients: bool, recomputes: bool = True
) -> int:
    """How many numbers a mask on one prompt needs in a pass, about."""
    n_sources, n_targets = len(graph.sources), len(graph.targets)
    widest = max(layer.n_heads + 2 * graph.n_keys(at) for at, layer in enumerate(graph.layers))
    of_layer = widest * d_model * 6 + 6 * d_mlp
    kept = (n_sources + n_targets) * d_model if gradients else 0
    n_layers = len(graph.layers) if gradients and not recomputes else 1 + int(gradients)
    return n_positions * (n_sources * d_model + kept + of_layer * n_layers)
