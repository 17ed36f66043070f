"""The engine: masks in, the metric of each prompt under each mask out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

from circuitspex.ablation.baselines import Baseline, baseline_activations
from circuitspex.ablation.forward import BatchedForward, Forward, HooksForward
from circuitspex.ablation.memory import is_out_of_memory, rows_that_fit
from circuitspex.ablation.prefix import Prefix, why_not
from circuitspex.ablation.sites import sites_of
from circuitspex.components import Component, ModelStructure
from circuitspex.errors import NoGradientError, UserError
from circuitspex.tasks import MetricRows, Task, TaskGroup, check_metric_values
from circuitspex.typing import FloatArray, Gradients, PerPrompt

Executor = Literal["auto", "batched", "hooks"]


@dataclass(frozen=True)
class _Group:
    """One length of prompts, ready to run."""

    task: TaskGroup
    forward: Forward
    answers: torch.Tensor
    wrong_answers: torch.Tensor
    clean_logits: torch.Tensor | None


class AblationEngine:
    """Runs a model on a task under masks over a list of components.

    Args:
        model: a TransformerBridge.
        structure: its structure, from ``model_structure``.
        components: what the columns of the masks mean.
        task: prompts and metric; prompts of different lengths run in groups of equal length.
        baseline: what an ablated component outputs instead.
        executor: 'batched' (many masks a pass), 'hooks' (the plain reference), or 'auto', which is 'batched'.
        batch_rows: rows (one mask on one prompt) to run at once; chosen from the free memory by default. Results may
            differ in the last digits of the model's precision between sizes.

    ``note`` says which executor runs, and what it can't do on this model.
    """

    def __init__(
        self,
        model: Any,
        structure: ModelStructure,
        components: Sequence[Component],
        task: Task,
        baseline: Baseline,
        *,
        executor: Executor = "auto",
        batch_rows: int | None = None,
    ) -> None:
        if executor not in get_args(Executor):
            raise UserError(f"unknown executor '{executor}'; allowed: {', '.join(get_args(Executor))}")
        if batch_rows is not None and batch_rows < 1:
            raise UserError(f"batch_rows must be at least 1, not {batch_rows}")
        self.model = model
        self.task = task
        self.n_players = len(components)
        self.batch_rows = batch_rows
        self.executor = "hooks" if executor == "hooks" else "batched"
        self.note = "hooks: one mask at a time" if self.executor == "hooks" else "batched hooks, shared prefix"
        self._device = next(model.parameters()).device
        self._dtype = next(model.parameters()).dtype
        self._layers = np.array([component.layer for component in components])
        sites = sites_of(structure, components)
        with _frozen(model):
            reason = None
            if self.executor == "batched":
                reason = why_not(model, task.groups[0].tokens.to(self._device))
                if reason is not None:
                    self.note = f"batched hooks, no shared prefix: {reason}"
            self._groups = [self._prepare(group, sites, baseline, reason is None) for group in task.groups]

    def _prepare(self, group: TaskGroup, sites: Any, baseline: Baseline, share_prefix: bool) -> _Group:
        tokens = group.tokens.to(self._device)
        baselines = baseline_activations(self.model, sites, group, baseline)
        forward: Forward
        if self.executor == "hooks":
            forward = HooksForward(self.model, sites, self.n_players, tokens, baselines)
        else:
            prefix = Prefix(self.model, tokens) if share_prefix else None
            forward = BatchedForward(self.model, sites, self.n_players, tokens, baselines, prefix=prefix)
        clean = None
        if self.task.metric.needs_clean:
            ones = torch.ones((1, self.n_players + 1), device=self._device, dtype=self._dtype)
            with torch.no_grad():
                clean = forward(ones, slice(None), 0)
        return _Group(group, forward, group.answers.to(self._device), group.wrong_answers.to(self._device), clean)

    def evaluate(
        self, gates: FloatArray, *, gradients: bool = False, done: Callable[[float], object] = lambda _: None
    ) -> tuple[PerPrompt, Gradients | None]:
        """The metric under each mask.

        Args:
            gates: ``(K, n)`` in [0, 1]; 1 = kept, 0 = ablated.
            gradients: also d value / d gate, where value is the mean over the prompts.
            done: called with the number of masks finished since the last call (fractions where prompts are split).

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
        n_masks, n_prompts = len(gates), self.task.n_prompts
        values = np.empty((n_masks, n_prompts))
        slopes = np.zeros((n_masks, self.n_players)) if gradients else None
        first = self._first_layers(gates, gradients)
        order = np.argsort(-first, kind="stable")  # masks that share more layers together
        with _frozen(self.model):
            for group in self._groups:
                share = len(group.task) / n_prompts
                for chosen, part, metric, slope in self._batches(group, gates, first, order, gradients):
                    values[np.ix_(chosen, group.task.indices.numpy()[part])] = metric
                    if slopes is not None and slope is not None:
                        slopes[chosen] += slope / n_prompts
                    done(len(chosen) * share * metric.shape[1] / len(group.task))
        return values, slopes

    def _first_layers(self, gates: FloatArray, gradients: bool) -> np.ndarray[Any, np.dtype[np.int64]]:
        """For each mask the first layer that it touches; with gradients every component counts as touched."""
        if gradients:
            return np.full(len(gates), self._layers.min())
        n_layers = int(self.model.cfg.n_layers)
        return np.array([self._layers[row < 1].min() if (row < 1).any() else n_layers - 1 for row in gates], dtype=int)

    def _batches(
        self, group: _Group, gates: FloatArray, first: Any, order: Any, gradients: bool
    ) -> Iterator[tuple[Any, slice, PerPrompt, Gradients | None]]:
        rows = self.batch_rows or rows_that_fit(self.model, group.task.length, gradients=gradients)
        n_prompts = len(group.task)
        start = 0
        while start < len(order):
            masks_at_once = max(1, rows // n_prompts)
            chosen = order[start : start + min(masks_at_once, group.forward.masks_at_once or masks_at_once)]
            prompts_at_once = min(n_prompts, rows)
            parts = [slice(p, min(p + prompts_at_once, n_prompts)) for p in range(0, n_prompts, prompts_at_once)]
            try:
                results = [(p, *self._run(group, gates[chosen], p, int(first[chosen].min()), gradients)) for p in parts]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or rows == 1:
                    raise
                rows = max(1, min(rows, len(chosen) * prompts_at_once) // 2)
                self.batch_rows = rows
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            for part, metric, slope in results:
                yield chosen, part, metric, slope
            start += len(chosen)

    def _run(
        self, group: _Group, gates: FloatArray, prompts: slice, first_layer: int, gradients: bool
    ) -> tuple[PerPrompt, Gradients | None]:
        n_masks = len(gates)
        leaf = torch.tensor(gates, device=self._device, dtype=self._dtype, requires_grad=gradients)
        with torch.set_grad_enabled(gradients):
            padded = torch.cat([leaf, leaf.new_ones((n_masks, 1))], dim=1)
            logits = group.forward(padded, prompts, first_layer)
            rows = MetricRows(
                answers=group.answers[prompts].repeat(n_masks),
                wrong_answers=group.wrong_answers[prompts].repeat(n_masks),
                clean_logits=None if group.clean_logits is None else group.clean_logits[prompts].repeat(n_masks, 1),
            )
            metric = self.task.metric(logits, rows)
            check_metric_values(metric.reshape(n_masks, -1), self.task.metric, prompts=group.task.indices[prompts])
            slope = None
            if gradients:
                if not metric.requires_grad:
                    raise NoGradientError(f"metric '{self.task.metric.name}' has no gradient; use gradients=False")
                slope = torch.autograd.grad(metric.sum(), leaf)[0].double().cpu().numpy()
        return metric.detach().double().cpu().numpy().reshape(n_masks, -1), slope


@contextlib.contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """No gradients for the weights within the block, and no inference mode; as before afterwards."""
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    # What is kept for later passes must serve gradients too, which tensors made in inference mode don't.
    ordinary = torch.inference_mode(False) if torch.is_inference_mode_enabled() else contextlib.nullcontext()
    try:
        with ordinary:
            yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
