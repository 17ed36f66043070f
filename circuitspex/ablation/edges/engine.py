"""The engine of edges: masks in, the metric of each prompt with the other edges closed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from circuitspex.ablation.edges.agreement import edges_disagree
from circuitspex.ablation.edges.baselines import base_of
from circuitspex.ablation.edges.fused import EdgesFused, numbers_a_row
from circuitspex.ablation.edges.reference import EdgesHooks
from circuitspex.ablation.executors.agreement import parts_of
from circuitspex.ablation.executors.clean import clean_pass
from circuitspex.ablation.executors.dense import DenseModel, NotDenseError
from circuitspex.ablation.frozen import frozen
from circuitspex.ablation.shapes import ReadLogits
from circuitspex.components import ModelStructure
from circuitspex.components.edges import EdgeGraph, EdgeSelection
from circuitspex.errors import ComponentError, NoGradientError, UserError
from circuitspex.models.free_memory import free_memory
from circuitspex.models.in_float32 import is_half
from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.overflow import check_slopes
from circuitspex.models.pass_memory import for_a_batch
from circuitspex.models.protocol import Model
from circuitspex.models.state import ModelState, model_state, why_foreign
from circuitspex.models.trial import check_causal
from circuitspex.tasks import Task, TaskGroup, check_metric_values
from circuitspex.typing import FloatArray, Gradients, PerPrompt

EdgeExecutor = Literal["auto", "fused", "hooks"]
_MOST_ROWS = {"cpu": 32, "other": 2048}
_FEW_ROWS = 16
"""With fewer rows than this in a pass with gradients, layers are rather computed again."""


def check_edge_executor(executor: str) -> None:
    """Nothing where there is such an executor for edges.

    Raises:
        UserError: there is none.
    """
    if executor not in get_args(EdgeExecutor):
        raise UserError(f"unknown executor '{executor}' for edges; allowed: {', '.join(get_args(EdgeExecutor))}")


@dataclass(frozen=True)
class _Group:
    """One length of prompts, ready to run."""

    task: TaskGroup
    forward: EdgesFused | EdgesHooks
    clean_logits: ReadLogits | None
    places: tuple[Tensor, Tensor, Tensor]


class EdgeEngine:
    """Runs a model on a task under masks over edges.

    Args:
        model: a TransformerBridge. It must stay as it is while the engine is in use.
        structure: its structure, from ``model_structure``.
        selection: what the columns of the masks mean; all other edges stay open.
        task: prompts and metric.
        baseline: 'mean', 'resample' or 'zero'.
        executor: 'fused' (one product a layer), 'hooks' (the plain reference), or 'auto': 'fused' where a trial gives
            what plain hooks give.
        batch_rows: rows (one mask on one prompt) to run at once; chosen from the free memory by default.
        state: what the model is now, where that was read a moment ago.

    ``note`` says which executor runs and why.

    Raises:
        UserError: an unknown executor, or one that this model can't have.
        ComponentError: a model whose residual stream is not the sum of what its parts write.
    """

    def __init__(
        self,
        model: Model,
        structure: ModelStructure,
        selection: EdgeSelection,
        task: Task,
        baseline: str,
        *,
        executor: EdgeExecutor = "auto",
        batch_rows: int | None = None,
        state: ModelState | None = None,
    ) -> None:
        check_edge_executor(executor)
        check_causal(model)
        parameter = next(model.parameters())
        if is_half(parameter.dtype):
            raise UserError("edges are sums over all sources, which half precision blurs; load the model in float32")
        self.model, self.structure, self.selection, self.task = model, structure, selection, task
        self.batch_rows = batch_rows
        self._graph: EdgeGraph = selection.graph
        self._device, self._dtype = parameter.device, parameter.dtype
        self._baseline = baseline
        self._numbers = torch.as_tensor(selection.numbers, device=self._device)
        self._placed = any(at is not None for at in selection.positions)
        self._state = model_state(model) if state is None else state
        self._check_memory()
        self._parameters = list(model.parameters())  # others are another state, with another engine, or equal
        with frozen(self._parameters):
            self.executor, self.note, dense = self._chosen(executor)
            self._groups = [self._prepare(group, dense) for group in task.sequences]

    def _check_memory(self) -> None:
        """Refuse what can't fit: what all sources write in the baseline, on all prompts, and one row with gradients."""
        size, width = torch.finfo(self._dtype).bits // 8, int(self.model.cfg.d_model)
        rows = {group.length: 0 for group in self.task.sequences}
        for group in self.task.sequences:
            rows[group.length] += len(group.tokens)
        base = 0 if self._baseline == "zero" else sum(length * count for length, count in rows.items())
        needed = size * (len(self._graph.sources) * width * base + self._numbers_a_row(max(rows), True, True))
        free = free_memory(self._device)
        if needed > free:
            raise UserError(
                f"edges of {self.structure.name} on these prompts need {needed / 1e9:.1f} GB (what {base} tokens have "
                f"in the baseline, and one row), and {free / 1e9:.1f} GB are free; take fewer or shorter prompts, or "
                "baseline 'zero'"
            )

    def _chosen(self, executor: str) -> tuple[str, str, DenseModel | None]:
        if executor == "hooks":
            return "hooks", "hooks: one mask at a time", None
        try:
            if self._state.foreign:
                raise NotDenseError(f"the model has {why_foreign(self._state)}, which only its own passes run")
            dense = parts_of(self.model, self.structure, None, self._state)
            group = self.task.sequences[0]
            reason = edges_disagree(self.model, self.structure, self._graph, dense, group, self._state)
            if reason is not None:
                raise NotDenseError(reason)
            return "fused", "fused: all destinations of a layer in one product", dense
        except NotDenseError as error:
            if executor == "fused":
                raise UserError(f"executor 'fused' is not for this model: {error}") from error
            return "hooks", f"hooks: one mask at a time; not fused: {error}", None

    def _prepare(self, group: TaskGroup, dense: DenseModel | None) -> _Group:
        places, tokens = self._places(group), group.tokens.to(self._device)

        def forward(tokens: Tensor, base: Tensor | None) -> EdgesFused | EdgesHooks:
            reads = group.reads if len(group.reads) == len(tokens) else group.reads[:1].expand(len(tokens), -1)
            if dense is None:
                return EdgesHooks(self._graph, self.model, self.structure, tokens, base, reads)
            return EdgesFused(self._graph, dense, clean_pass(self.model, tokens), base, reads)

        base = base_of(self._baseline, lambda some: forward(some, None).written(), group, self._device)
        made = forward(tokens, None if base is None else base.to(self._dtype))
        if isinstance(made, EdgesHooks):
            layer = made.not_a_sum()
            if layer is not None:
                raise ComponentError(
                    f"{self.structure.name} can't be cut into edges: what its {layer} reads is not the sum of what the "
                    "parts before it write"
                )
        clean = None
        if self.task.metric.needs_clean:
            with torch.no_grad():
                clean = made(self._open(1), slice(None))
        return _Group(group.with_answers_on(self._device), made, clean, places)

    def _open(self, n_masks: int, length: int | None = None) -> Tensor:
        """Gates of all edges, open."""
        shape = (n_masks, len(self._graph), *(() if length is None else (length,)))
        return torch.ones(shape, device=self._device, dtype=self._dtype)

    def _full(self, gates: Tensor, group: _Group) -> Tensor:
        """Gates of all edges from those of the selection."""
        if not self._placed:
            return self._open(len(gates)).index_copy(1, self._numbers, gates)
        numbers, places, columns = group.places
        full = self._open(len(gates), group.task.length)
        full[:, numbers, places] = gates[:, columns]
        return full

    def _places(self, group: TaskGroup) -> tuple[Tensor, Tensor, Tensor]:
        """Which edges of the graph, at which positions, take which columns of the masks, where any has a position."""
        n = group.n_prompt_tokens
        places: list[int] = []
        columns: list[int] = []
        for column, at in enumerate(self.selection.positions if self._placed else ()):
            if at is not None and not -n <= at < n:
                raise ComponentError(
                    f"{self.selection.names[column]}: the prompt has {n} tokens, positions {-n} to {n - 1}"
                )
            where = range(group.length) if at is None else [at % n]
            places += where
            columns += [column] * len(where)
        at_columns = torch.tensor(columns, dtype=torch.long, device=self._device)
        return self._numbers[at_columns], torch.tensor(places, dtype=torch.long, device=self._device), at_columns

    def masks_in_batch(self, *, gradients: bool) -> int:
        """How many masks run at once, for the largest group of prompts."""
        largest = max(self._groups, key=lambda group: len(group.task))
        at_once = largest.forward.masks_at_once
        return at_once or max(1, self._rows(largest.task, gradients) // len(largest.task))

    def _rows(self, group: TaskGroup, gradients: bool) -> int:
        if self.batch_rows is not None:
            return self.batch_rows
        most = _MOST_ROWS["cpu" if self._device.type == "cpu" else "other"]
        fits = self._fits(group, gradients, recomputes=False)
        recomputes = gradients and fits < min(most, _FEW_ROWS)
        for each in self._groups:
            if isinstance(each.forward, EdgesFused):
                each.forward.recomputes = recomputes
        return max(1, min(most, self._fits(group, gradients, recomputes=True) if recomputes else fits))

    def _fits(self, group: TaskGroup, gradients: bool, *, recomputes: bool) -> int:
        """How many rows the free memory holds."""
        numbers = self._numbers_a_row(group.length, gradients, recomputes)
        size = torch.finfo(self._dtype).bits // 8
        return int(for_a_batch(self._device) / (numbers * size * group.n_sequences))

    def _numbers_a_row(self, length: int, gradients: bool, recomputes: bool) -> int:
        cfg = self.model.cfg
        d_mlp = int(getattr(cfg, "d_mlp", None) or 4 * int(cfg.d_model))
        return numbers_a_row(self._graph, int(cfg.d_model), d_mlp, length, gradients=gradients, recomputes=recomputes)

    def evaluate(
        self, gates: FloatArray, *, gradients: bool = False, done: Callable[[float], object] = lambda _: None
    ) -> tuple[PerPrompt, Gradients | None]:
        """The metric under each mask.

        Args:
            gates: ``(K, n)`` in [0, 1]; 1 = open, 0 = closed.
            gradients: also d value / d gate, where value is the mean over the prompts.
            done: called with the number of masks finished since the last call.

        Returns:
            ``(K, P)`` values, and ``(K, n)`` gradients or None.

        Raises:
            TaskError: the metric gave NaN, an infinity or a wrong shape.
            UserError: gradients under ``torch.no_grad()`` or in inference mode.
        """
        if gradients and (not torch.is_grad_enabled() or torch.is_inference_mode_enabled()):
            raise UserError(
                "gradients=True needs autograd, which torch.no_grad() or torch.inference_mode() has switched off here"
            )
        n_prompts = self.task.n_prompts
        values = np.empty((len(gates), n_prompts))
        slopes = np.zeros(gates.shape) if gradients else None
        with frozen(self._parameters):
            for group in self._groups:
                for masks, prompts, metric, slope in self._batches(group, gates, gradients):
                    values[np.ix_(np.arange(len(gates))[masks], group.task.indices.numpy()[prompts])] = metric
                    if slopes is not None and slope is not None:
                        slopes[masks] += slope / n_prompts
                    done(metric.size / n_prompts)
        return values, slopes

    def _batches(
        self, group: _Group, gates: FloatArray, gradients: bool
    ) -> Iterator[tuple[slice, slice, PerPrompt, Gradients | None]]:
        """Part by part: some masks on some prompts; smaller parts where an allocation fails."""
        n_prompts, rows = len(group.task), self._rows(group.task, gradients)
        start, first = 0, 0  # masks and prompts that are done
        while start < len(gates):
            prompts = slice(first, min(n_prompts, first + rows))
            count = 1 if prompts.stop - prompts.start < n_prompts else max(1, rows // n_prompts)
            masks = slice(start, min(len(gates), start + min(count, group.forward.masks_at_once or count)))
            try:
                found = self._run(group, gates[masks], prompts, gradients)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or rows == 1:
                    raise
                rows = max(1, min(rows, (masks.stop - masks.start) * (prompts.stop - prompts.start)) // 2)
                self.batch_rows = rows
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            yield masks, prompts, *found
            first = prompts.stop % n_prompts
            start = masks.stop if first == 0 else start

    def _run(
        self, group: _Group, gates: FloatArray, prompts: slice, gradients: bool
    ) -> tuple[PerPrompt, Gradients | None]:
        n_masks = len(gates)
        leaf = torch.tensor(gates, device=self._device, dtype=self._dtype, requires_grad=gradients)
        with torch.set_grad_enabled(gradients):
            rows = group.task.sequences(prompts)
            logits = group.forward(self._full(leaf, group), rows).to(self._device)
            clean = None if group.clean_logits is None else group.clean_logits[rows]
            metric = group.task.measure(self.task.metric, logits, prompts, n_masks, clean)
            values = metric.reshape(n_masks, -1)
            check_metric_values(values, self.task.metric, prompts=group.task.indices[prompts])
            slope = None
            if gradients:
                if not metric.requires_grad:
                    raise NoGradientError(f"metric '{self.task.metric.name}' has no gradient; use gradients=False")
                slope = torch.autograd.grad(metric.sum(), leaf)[0].double().cpu().numpy()
                check_slopes(slope, self._dtype, self.task.metric.name, self.selection.names)
        return values.detach().double().cpu().numpy(), slope
