"""What the metric would gain by each edge, by the slope in what its destination reads, in one plain pass.

With every edge open, all destinations of a layer read the same residual stream; each is given a copy of its own, so
that the slope in what it reads is known. The score of an edge from u to d is that slope times the difference between
what u writes on the prompt and in the baseline: edge attribution patching (Syed, Rager and Conmy 2023). The integrated
forms (Hanna, Pezzelle and Belinkov 2024) average the slopes over passes in which the embeddings, or what one layer's
heads or MLP write, are on the way between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from circuitspex.ablation.attribution.other_prompts import entry_of
from circuitspex.ablation.attribution.relevance_rules import with_relevance_rules
from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.edges.agreement import edges_disagree
from circuitspex.ablation.edges.attention_parts import EdgeLayerParts
from circuitspex.ablation.edges.baselines import base_of
from circuitspex.ablation.edges.fused import numbers_a_row, stages_of
from circuitspex.ablation.executors.agreement import parts_of
from circuitspex.ablation.executors.clean import CleanPass, Positions, clean_pass
from circuitspex.ablation.executors.dense import DenseModel, NotDenseError
from circuitspex.ablation.frozen import frozen
from circuitspex.ablation.shapes import Tokens
from circuitspex.components import ModelStructure
from circuitspex.components.edges import EdgeSelection
from circuitspex.errors import NoGradientError, UserError
from circuitspex.models.overflow import check_slopes
from circuitspex.models.pass_memory import for_a_batch
from circuitspex.models.protocol import Model
from circuitspex.models.state import model_state, why_foreign
from circuitspex.tasks import Task, TaskGroup, check_metric_values
from circuitspex.typing import FloatArray

# A pass by autograd keeps about so many times what a pass by hand does.
_KEPT = 4


@dataclass(frozen=True)
class _Rows:
    """Some prompts of one length; ``own`` and ``base`` is what sources write ``[sources, prompts, pos, d_model]``."""

    group: TaskGroup
    prompts: slice
    clean: CleanPass
    own: Tensor
    base: Tensor
    clean_logits: Tensor | None

    @property
    def rows(self) -> slice:
        """The sequences of these prompts."""
        return self.group.sequences(self.prompts)


@dataclass(frozen=True)
class _Parts:
    """A model cut into edges; ``ruled`` where norms after attention have their scales held."""

    dense: DenseModel
    layers: Sequence[EdgeLayerParts]
    ruled: bool = False


class EdgeSlopes:
    """Slopes of a task's metric by edge, ``(n,)`` in units of the metric; positive where an edge helps.

    Args:
        model: the bridge, a dense transformer.
        structure: from ``model_structure``.
        selection: whose slopes.
        task: the prompts and the metric.
        baseline: 'mean', 'resample' or 'zero'.

    Raises:
        UserError: a model whose parts are not those of a dense transformer.
    """

    def __init__(
        self, model: Model, structure: ModelStructure, selection: EdgeSelection, task: Task, baseline: str
    ) -> None:
        self.model, self.structure, self.selection = model, structure, selection
        self.task, self.baseline = task, baseline
        self._graph = selection.graph
        self._stages = stages_of(self._graph)
        state = model_state(model)
        with frozen(model):
            try:
                if state.foreign:
                    raise NotDenseError(f"the model has {why_foreign(state)}")
                dense = parts_of(model, structure, None, state)
                why = edges_disagree(model, structure, self._graph, dense, task.sequences[0], state)
                if why is not None:
                    raise NotDenseError(why)
                self._parts = self._cut(dense)
            except NotDenseError as error:
                raise UserError(f"slopes of edges on the way are known for dense transformers: {error}") from error

    def along_inputs(self, shares: FloatArray) -> FloatArray:
        """The mean slope over passes whose embeddings are at these shares of the way from the baseline's.

        Raises:
            UserError: a baseline other than 'resample', whose way has no embeddings.
        """
        if self.baseline != "resample":
            raise UserError(
                "integrated gradients of the inputs go from each prompt's counterfactual to the prompt, which is the "
                f"baseline 'resample', not '{self.baseline}'"
            )

        def slopes(some: _Rows) -> FloatArray:
            ways = [torch.lerp(some.base[0], some.own[0], float(share)) for share in shares]
            return np.asarray(np.mean([self._slopes(some, self._parts, {0: entry[None]}) for entry in ways], axis=0))

        return self._over_prompts(slopes)

    def along_activations(self, shares: FloatArray) -> FloatArray:
        """The mean over passes in which one layer's heads, its MLP or the embeddings write what lies on the way."""

        def slopes(some: _Rows) -> FloatArray:
            found = []
            for first, last in self.writers():
                for share in shares:
                    put = torch.lerp(some.base[first:last], some.own[first:last], float(share))
                    found.append(self._slopes(some, self._parts, {first: put}))
            return np.asarray(np.mean(found, axis=0))

        return self._over_prompts(slopes)

    def by_relevance(self) -> FloatArray:
        """The coefficients of relevance propagation in the prompts' own pass, times the same differences.

        Raises:
            UserError: a norm of an unknown kind.
        """
        try:
            ruled = replace(self._cut(with_relevance_rules(self._parts.dense)), ruled=True)
        except NotDenseError as error:
            raise UserError(f"relevance rules are known for dense transformers: {error}") from error
        return self._over_prompts(lambda some: self._slopes(some, ruled, {}))

    def writers(self) -> list[tuple[int, int]]:
        """The sources that write together, from which to which: the embeddings, a layer's heads, its MLP."""
        found, at = [(0, 1)], 1
        for stage in self._stages[:-1]:
            n = self._graph.layers[stage.layer].n_heads if stage.kind == "attention" else 1
            found.append((at, at + n))
            at += n
        return found

    def _cut(self, dense: DenseModel) -> _Parts:
        return _Parts(dense, [EdgeLayerParts.of(each, ungrouped=self._graph.ungrouped) for each in dense.layers])

    def _over_prompts(self, slopes: Callable[[_Rows], FloatArray]) -> FloatArray:
        """The sum over prompts of what a function gives for some of them, over their number."""
        total = np.zeros(len(self.selection))
        with frozen(self.model):
            for group in self.task.sequences:
                for part in self._in_parts(group, slopes):
                    total += part
        return total / self.task.n_prompts

    def _in_parts(self, group: TaskGroup, slopes: Callable[[_Rows], FloatArray]) -> Iterator[FloatArray]:
        device = next(self.model.parameters()).device
        group = group.with_answers_on(device)
        fixed = None
        if self.baseline == "mean":
            fixed = base_of("mean", self._written, group, device)

        def run(prompts: slice) -> FloatArray:
            rows = group.sequences(prompts)
            tokens = group.tokens[rows].to(device)
            clean = clean_pass(self.model, tokens)
            own = self._written(tokens, clean)
            if self.baseline == "resample":
                base = self._written(group.counterfactual_tokens[rows].to(device))
            else:
                base = torch.zeros_like(own) if fixed is None else fixed.to(own).expand_as(own)
            some = _Rows(group, prompts, clean, own, base, None)
            if self.task.metric.needs_clean:
                with torch.no_grad():
                    some = replace(some, clean_logits=self._pass(some, self._parts, {})[0])
            return slopes(some)

        yield from in_parts(len(group), self._most(group), run)

    def _most(self, group: TaskGroup) -> int:
        cfg, parameter = self.model.cfg, next(self.model.parameters())
        d_mlp = int(getattr(cfg, "d_mlp", None) or 4 * int(cfg.d_model))
        numbers = _KEPT * numbers_a_row(self._graph, int(cfg.d_model), d_mlp, group.length, gradients=True)
        rows = for_a_batch(parameter.device) / (numbers * parameter.element_size() * group.n_sequences)
        return max(1, min(64, int(rows)))

    def _written(self, tokens: Tokens, clean: CleanPass | None = None) -> Tensor:
        """What every source writes on these prompts."""
        entry = entry_of(self.model, tokens)
        positions = (clean or clean_pass(self.model, tokens)).positions
        with torch.no_grad():
            return torch.cat(self._streams(self._parts, entry, positions, {})[1])

    def _streams(
        self, parts: _Parts, entry: Tensor, positions: Sequence[Positions], put: dict[int, Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What each stage reads ``[1, targets, prompts, pos, d_model]``, and what sources write, in the same order.

        ``put`` replaces what the sources from a number on write.
        """
        written = [put.get(0, entry[None])]
        if torch.is_grad_enabled():
            written[0] = written[0].detach().requires_grad_(True)
        stream = before = written[0].sum(0)
        reads, at = [], 1
        for stage in self._stages:
            if stage.kind == "attention":
                before = stream
            source = before if stage.kind == "mlp" and self._graph.parallel else stream
            x = source.expand(1, stage.n_targets, *source.shape)
            reads.append(x)
            if stage.kind == "logits":
                break
            of_layer = parts.layers[stage.layer]
            if at in put:
                out = put[at]
            elif stage.kind == "mlp":
                out = of_layer.mlp(x)[0]
            else:
                out = _heads(of_layer, x, positions[stage.layer], held=parts.ruled)[0]
            written.append(out)
            at += len(out)
            stream = stream + out.sum(0)
            if stage.kind == "attention" and of_layer.constant is not None:
                stream = stream + of_layer.constant.to(stream)
        return reads, written

    def _pass(self, some: _Rows, parts: _Parts, put: dict[int, Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The logits where they are read ``[prompts, reads, vocab]``, and what each stage read."""
        reads, _ = self._streams(parts, some.clean.entry, some.clean.positions, put)
        places = some.group.reads[some.rows]
        rows = reads[-1][0, 0][torch.arange(len(places))[:, None], places]
        dense = parts.dense
        logits = dense.unembed(dense.norm(rows))
        return (dense.softcap * torch.tanh(logits / dense.softcap) if dense.softcap else logits), reads

    def _slopes(self, some: _Rows, parts: _Parts, put: dict[int, Tensor]) -> FloatArray:
        """The score of each edge in one pass, summed over these prompts."""
        group, name = some.group, self.task.metric.name
        with torch.enable_grad():
            logits, reads = self._pass(some, parts, put)
            metric = group.measure(self.task.metric, logits, some.prompts, 1, some.clean_logits)
            check_metric_values(metric.reshape(1, -1), self.task.metric, prompts=group.indices[some.prompts])
            if not metric.requires_grad:
                raise NoGradientError(f"metric '{name}' has no gradient, so there is no slope")
            # What is read by sources whose output was put in has no slope.
            slopes = torch.autograd.grad(metric.sum(), reads, allow_unused=True, materialize_grads=True)
        difference = some.own - some.base
        placed = any(at is not None for at in self.selection.positions)
        found = []
        for stage, slope in zip(self._stages, slopes, strict=True):
            written = difference[: stage.n_sources]
            if placed:
                found.append(torch.einsum("tpsd,upsd->tus", slope[0], written).flatten(0, 1))
            else:
                found.append((slope[0].flatten(1) @ written.flatten(1).T).flatten())
        scores = torch.cat(found).double().cpu().numpy()[self.selection.numbers]
        if placed:
            n = group.n_prompt_tokens
            at = [slice(None) if each is None else each % n for each in self.selection.positions]
            scores = np.array([row[where].sum() for row, where in zip(scores, at, strict=True)])
        check_slopes(scores[None], slopes[0].dtype, name, self.selection.names)
        return np.asarray(scores)


def _heads(parts: EdgeLayerParts, x: Tensor, positions: Positions, *, held: bool) -> Tensor:
    """What heads write; with the scale of a norm after them as a constant where it is ``held``."""
    norm = parts.after
    if not held or norm is None:
        return parts.heads(x, positions)
    out = replace(parts, after=None).heads(x, positions)
    whole = out.detach().sum(1, keepdim=True)
    if norm.centred:
        out, whole = out - out.mean(-1, keepdim=True), whole - whole.mean(-1, keepdim=True)
    scale = torch.rsqrt(whole.square().mean(-1, keepdim=True) + norm.eps)
    return out * scale * norm.scale.to(out)
