"""Edges closed in a model's own passes, on prompts of any kind: also while it writes text, with a cache.

Hooks keep what each source writes at the tokens of the pass, and put in what each destination makes of its own residual
stream: queries, keys and values behind their projections, so that the model's own attention and its cache go on from
there. MLPs are computed beside the model's own, whose stream nothing reads any more, and the last norm is given what
the logits read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuitspex.ablation.edges.attention_parts import EdgeLayerParts, Projected, Read, Written
from circuitspex.ablation.edges.fused import biases_before, stages_of
from circuitspex.ablation.executors.dense import DenseModel
from circuitspex.ablation.executors.prefix import entry_hook
from circuitspex.ablation.shapes import Stream
from circuitspex.components import Layout, ModelStructure, Part
from circuitspex.components.edges import EdgeGraph

Hooked = tuple[str, Callable[..., Any]]
_LAST = "ln_final.hook_in"


class EdgesLive:
    """Hooks under which every pass of a model has these gates.

    Args:
        graph: the edges; with grouped keys and values as the model has them.
        dense: the model's parts.
        structure: where its queries, keys, values and heads pass.
        gates: of every edge of the graph: 1 = open, 0 = closed.
        base: what a source writes in the baseline, one vector each; None for zero.

    Raises:
        NotDenseError: heads have no share of what their layer adds.
    """

    def __init__(
        self,
        graph: EdgeGraph,
        dense: DenseModel,
        structure: ModelStructure,
        gates: Float[Tensor, " edges"],
        base: Float[Tensor, "sources d_model"] | None,
    ) -> None:
        self._layers = [EdgeLayerParts.of(layer, ungrouped=False) for layer in dense.layers]
        self._structure, self._parallel = structure, graph.parallel
        self._gates: dict[tuple[int, str], Tensor] = {}  # [targets, sources] of each stage
        self._closed: dict[tuple[int, str], Tensor] = {}  # what is read beside that, [targets or 1, d_model]
        for stage in stages_of(graph):
            first, last = int(graph.first[stage.first]), int(graph.first[stage.last])
            g = gates[first:last].reshape(stage.n_targets, stage.n_sources)
            beside = g.new_zeros((1, dense.layers[0].attention.o.n_outputs))
            biases = biases_before(stage, self._layers, parallel=graph.parallel)
            beside = beside if biases is None else beside + biases.to(g)
            if base is not None:
                beside = beside + (1 - g) @ base[: stage.n_sources].to(g)
            self._gates[stage.layer, stage.kind] = g
            self._closed[stage.layer, stage.kind] = beside
        self._written: list[Written] = []
        self._projected: dict[str, Projected] = {}
        self._heads: Written | None = None

    @property
    def hooks(self) -> list[Hooked]:
        """For ``model.hooks``; one pass at a time."""
        found: list[Hooked] = []
        for layer, about in enumerate(self._structure.layers):
            found.append((entry_hook(layer), self._entering(layer)))
            found += [self._putting(about.part(kind), kind) for kind in ("query", "key", "value")]
            found.append(self._reading(layer, about.part("head")))
        return [*found, (_LAST, self._last)]

    def _entering(self, layer: int) -> Callable[..., None]:
        def enter(stream: Stream, hook: Any) -> None:
            if layer == 0:
                self._written = [stream[None, None]]
            else:
                self._finish(layer - 1)
            read = self._read(layer, "attention")
            self._projected = dict(zip(("query", "key", "value"), self._layers[layer].projected(read), strict=True))

        return enter

    def _putting(self, part: Part, kind: str) -> Hooked:
        def put(activation: Tensor, hook: Any) -> Tensor:
            return _layout(part).write(activation, self._projected[kind].to(activation.dtype))

        return str(part.hook), put

    def _reading(self, layer: int, part: Part) -> Hooked:
        def keep(activation: Tensor, hook: Any) -> None:
            z = _layout(part).read(activation).movedim(2, 0)[:, None]  # heads, 1, prompts, pos, d_head
            self._heads = self._layers[layer].written(z)

        return str(part.hook), keep

    def _last(self, stream: Stream, hook: Any) -> Stream:
        self._finish(len(self._layers) - 1)
        read = self._read(len(self._layers), "logits")[0, 0].to(stream)
        self._written, self._projected = [], {}
        return read

    def _finish(self, layer: int) -> None:
        """What the heads and the MLP of a layer write, which its attention has run through."""
        assert self._heads is not None
        if self._parallel:
            read = self._read(layer, "mlp")
            self._written.append(self._heads)
        else:
            self._written.append(self._heads)
            read = self._read(layer, "mlp")
        self._written.append(self._layers[layer].mlp(read))
        self._heads = None

    def _read(self, layer: int, kind: str) -> Read:
        """What the destinations of a stage read."""
        written = torch.cat(self._written, dim=1)[0]
        g, beside = self._gates[layer, kind], self._closed[layer, kind]
        return (torch.einsum("tu,upsd->tpsd", g.to(written), written) + beside.to(written)[:, None, None])[None]


def _layout(part: Part) -> Layout:
    return part.layout or Layout(part.n_units)
