"""The engine: masks in, the metric of each prompt under each mask out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from circuitspex.ablation.cost import pass_cost
from circuitspex.ablation.executor_names import Executor, Precision, check_executor
from circuitspex.ablation.executors.agreement import disagreement, parts_of, rows_disagree
from circuitspex.ablation.executors.clean import clean_pass
from circuitspex.ablation.executors.dense import DenseModel, NotDenseError
from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.ablation.executors.hooks import BatchedForward, HooksForward
from circuitspex.ablation.executors.path_patching import PathForward
from circuitspex.ablation.executors.prefix import Prefix, why_not
from circuitspex.ablation.frozen import frozen
from circuitspex.ablation.given import Given, first_place, given_of
from circuitspex.ablation.plan import Batch, GroupPlan, Plan, batch_memory, estimated_cost, group_plan
from circuitspex.ablation.shapes import Gates, ReadLogits
from circuitspex.components import KINDS, Component, ModelStructure
from circuitspex.errors import NoGradientError, UserError
from circuitspex.models.free_memory import free_memory
from circuitspex.models.out_of_memory import is_out_of_memory
from circuitspex.models.overflow import check_slopes, overflow_error, overflowed
from circuitspex.models.pass_memory import bytes_a_row, rows_that_fit
from circuitspex.models.protocol import Model
from circuitspex.models.state import ModelState, model_state, why_foreign
from circuitspex.models.threads import choose_again
from circuitspex.models.trial import check_causal
from circuitspex.scale import MOST, whole
from circuitspex.tasks import Task, TaskGroup, check_metric_values
from circuitspex.typing import FloatArray, Gradients, PerPrompt

Forward = HooksForward | BatchedForward | FusedForward | PathForward

# With fewer rows than this in a pass with gradients, computing activations twice costs less than the small batches.
_FEW_ROWS = 16


@dataclass(frozen=True)
class _Group:
    """One length of prompts, ready to run."""

    given: Given
    forward: Forward
    clean_logits: ReadLogits | None

    @property
    def task(self) -> TaskGroup:
        """The prompts."""
        return self.given.task


class AblationEngine:
    """Runs a model on a task under masks over a list of components.

    Args:
        model: a TransformerBridge. It must stay as it is while the engine is in use.
        structure: its structure, from ``model_structure``.
        components: what the columns of the masks mean.
        task: prompts and metric; prompts of different lengths run in groups of equal length.
        baseline: what an ablated component outputs instead, a name in ``BASELINES``.
        executor: 'fused' (dense transformers: shared and ablated work is skipped), 'batched' (many masks a pass through
            hooks), 'hooks' (one mask at a time, the plain reference), or 'auto': 'fused' where the model's parts were
            verified, which is tried against 'hooks' first, else 'batched'.
        precision: of the matrix products in the blocks; 'model' is the model's own, 'bfloat16' is faster and less
            exact, with a residual stream in the model's own dtype. Only for 'fused'.
        batch_rows: rows (one mask on one prompt) to run at once; by default what half of the free memory holds (see
            docs/engine.md). Results may differ in the last digits of the model's precision between sizes.
        state: what the model is now, where that was read a moment ago.

    ``note`` says which executor runs and why; ``executor`` and ``precision`` are what became of the arguments.

    Raises:
        UserError: an unknown executor or precision, or one that this model can't have.
    """

    def __init__(
        self,
        model: Model,
        structure: ModelStructure,
        components: Sequence[Component],
        task: Task,
        baseline: str,
        *,
        executor: Executor = "auto",
        precision: Precision = "model",
        batch_rows: int | None = None,
        state: ModelState | None = None,
    ) -> None:
        check_executor(executor, precision)
        if batch_rows is not None:
            batch_rows = whole(batch_rows, "batch_rows", 1, MOST)
        check_causal(model)
        self.model = model
        self.task = task
        self.components = tuple(components)
        self.n_players = len(components)
        self._unfused = [component for component in self.components if not component.about.fused]
        self.batch_rows = batch_rows
        self.precision: str = precision
        self._structure = structure
        self._baseline = baseline
        self._checkpointing = False
        self._device = next(model.parameters()).device
        self._dtype = next(model.parameters()).dtype
        self._state = model_state(model) if state is None else state
        self._parameters = list(model.parameters())  # others are another state, with another engine, or equal
        with frozen(self._parameters):
            self.executor, self.note, forwards = self._forwards(executor)
            self._groups = [self._prepare(*each) for each in zip(self._given, forwards, strict=True)]

    def _forwards(self, executor: Executor) -> tuple[str, str, list[Forward]]:
        """The executor that runs, what to say of it, and one for each group of prompts."""
        given = [
            given_of(self.model, self._structure, self.components, self._baseline, group)
            for group in self.task.sequences
        ]
        self._given = given
        plain: list[HooksForward] = [HooksForward(self.model, *one.arguments) for one in given]
        if executor == "hooks":
            return "hooks", "hooks: one mask at a time", list(plain)
        reason = ""
        if executor != "batched":
            try:
                fused = self._fused(plain)
                products = ", products in bfloat16" if self.precision == "bfloat16" else ""
                return (
                    "fused",
                    f"fused: shared and ablated work is skipped{products}{self._kernels(fused)}",
                    list(fused),
                )
            except NotDenseError as error:
                if executor == "fused" or self.precision != "model":
                    wanted = "executor 'fused'" if executor == "fused" else f"precision '{self.precision}'"
                    what = "these components" if self._unfused else "this model"
                    raise UserError(f"{wanted} is not for {what}: {error}") from error
                reason = f"; not fused: {error}"
        unshared = why_not(self.model, given[0].tokens)
        note = "batched hooks, shared prefix" if unshared is None else f"batched hooks, no shared prefix: {unshared}"
        forwards = [
            BatchedForward(
                self.model, *one.arguments, prefix=Prefix(self.model, one.tokens) if unshared is None else None
            )
            for one in given
        ]
        if self._state.foreign:  # what a hook does with rows of several masks is not known
            mixed = [rows_disagree(*two, self.n_players) for two in zip(forwards, plain, strict=True)]
            if any(mixed):
                why = next(filter(None, mixed))
                if executor == "batched":
                    raise UserError(f"executor 'batched' is not for this model: {why}; use 'hooks'")
                return "hooks", f"hooks: one mask at a time; not batched: {why}{reason}", list(plain)
        return "batched", note + reason, list(forwards)

    def _kernels(self, fused: Sequence[FusedForward]) -> str:
        """What to say of the kernels, where there is a device that has some."""
        if self._device.type != "cuda":
            return ""
        why = next((forward.why_no_kernels for forward in fused if forward.why_no_kernels), None)
        return ", in few kernels" if why is None else f", without kernels of its own: {why}"

    def _fused(self, plain: Sequence[HooksForward]) -> list[FusedForward]:
        if self._unfused:
            other = self._unfused[0]
            *most, last = [kind.plural for kind in KINDS.values() if kind.fused]
            raise NotDenseError(f"only {', '.join(most)} and {last} are fused, not {other} ({other.kind})")
        if self._state.foreign:
            raise NotDenseError(f"the model has {why_foreign(self._state)}, which only its own passes run")
        dense = parts_of(self.model, self._structure, None, self._state, quantized=True)
        cleans = [clean_pass(self.model, one.tokens) for one in self._given]

        def forwards(dense: DenseModel) -> list[FusedForward]:
            return [
                FusedForward(dense, clean, one.sites, self.n_players, one.baselines, one.task.reads)
                for clean, one in zip(cleans, self._given, strict=True)
            ]

        made = forwards(dense)
        for forward, hooks, one in zip(made, plain, self._given, strict=True):
            first = first_place(one.components, one.task.length)
            reason = disagreement(forward, hooks, self.n_players, first, self._state)
            if reason is not None:
                raise NotDenseError(reason)
        if self.precision == "bfloat16":
            made = forwards(parts_of(self.model, self._structure, torch.bfloat16, self._state, quantized=True))
        return made

    def _prepare(self, given: Given, forward: Forward) -> _Group:
        clean = None
        if self.task.metric.needs_clean:
            ones = torch.ones((1, self.n_players + 1), device=self._device, dtype=self._dtype)
            with torch.no_grad():
                clean = forward(ones, slice(None), 0)
        return _Group(given, forward, clean)

    def masks_in_batch(self, *, gradients: bool) -> int:
        """How many masks run at once, for the largest group of prompts."""
        largest = max(self._groups, key=lambda group: len(group.task))
        return max(1, self._rows(largest, gradients) // len(largest.task))

    def order(self, gates: FloatArray, *, gradients: bool) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The rows of ``gates`` in an order in which masks that share much follow each other."""
        return self._group_plan(self._groups[0], gates, gradients).order

    def plan(self, gates: FloatArray, *, gradients: bool = False, n_asked: int | None = None) -> Plan:
        """How these masks would run: ``gates (K, n)``; ``n_asked`` is K before repeated masks were dropped."""
        plans = []
        for group in self._groups:
            planned = self._group_plan(group, gates, gradients)
            plans.append((planned, planned.batches(self._rows(group, gradients), group.forward.masks_at_once)))
        skips = self.executor == "fused"
        cost = pass_cost(self.model, self._structure, self.components, gradients=gradients, skips=skips)
        rows = [bytes_a_row(self.model, each.task.length, **self._sizes(each, gradients)) for each in self._groups]
        width = int(self.model.cfg.d_model) * self._dtype.itemsize
        return Plan(
            self.note,
            len(gates) if n_asked is None else n_asked,
            len(gates),
            gradients,
            tuple(planned for planned, _ in plans),
            tuple(batches for _, batches in plans),
            estimated_cost(plans, gates, cost),
            batch_memory(plans, rows, width, self._structure.n_layers),
            free_memory(self._device),
        )

    def _group_plan(self, group: _Group, gates: FloatArray, gradients: bool) -> GroupPlan:
        return group_plan(
            gates,
            group.given.components,
            n_prompts=len(group.task),
            n_sequences=group.task.n_sequences,
            length=group.task.length,
            n_layers=self._structure.n_layers,
            gradients=gradients,
            positions=self.executor == "fused",
        )

    def _rows(self, group: _Group, gradients: bool) -> int:
        if self.batch_rows is not None:
            return self.batch_rows
        rows = rows_that_fit(self.model, group.task.length, **self._sizes(group, gradients))
        rows = max(1, rows // group.task.n_sequences)
        if gradients and rows < _FEW_ROWS and self.executor == "fused" and not self._checkpointing:
            self._use_checkpointing()
            return self._rows(group, gradients)
        return rows

    def _sizes(self, group: _Group, gradients: bool) -> dict[str, Any]:
        """What the memory of a row depends on beside the model and the length of the prompt."""
        return {
            "gradients": gradients,
            "fused": self.executor == "fused",
            "checkpointing": self._checkpointing,
            "a_token": sum(site.numbers_a_token for site in group.given.sites),
            # The plain way unembeds every position.
            "n_read": group.task.length if self.executor == "hooks" else group.task.reads.shape[1],
        }

    def _use_checkpointing(self) -> None:
        self._checkpointing = True
        for group in self._groups:
            if isinstance(group.forward, FusedForward):
                group.forward.checkpointing = True

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
        with frozen(self._parameters):
            for group in self._groups:
                share = len(group.task) / n_prompts
                for batch, part, metric, slope in self._batches(group, gates, gradients):
                    values[np.ix_(batch.masks, group.task.indices.numpy()[part])] = metric
                    if slopes is not None and slope is not None:
                        slopes[batch.masks] += slope / n_prompts
                    done(len(batch.masks) * share * metric.shape[1] / len(group.task))
        return values, slopes

    def patched(
        self,
        gates: FloatArray,
        source: int,
        target: int,
        *,
        done: Callable[[float], object] = lambda _: None,
    ) -> PerPrompt:
        """The metric ``(K, P)`` with the target's output taken from a pass without the source (``paths.py``).

        Raises:
            UserError: the target is no activation that could be taken from another pass.
        """
        if not self.components[target].is_activation:
            raise UserError(
                f"path patching can't end at {self.components[target]}: it is no activation of the model that could be "
                "taken from another pass"
            )
        values = np.empty((len(gates), self.task.n_prompts))
        with frozen(self._parameters):
            for group in self._groups:
                given = group.given
                forward = PathForward(self.model, *given.arguments, source=source, target=given.components[target])
                for batch, part, metric, _ in self._batches(replace(group, forward=forward), gates, False):
                    values[np.ix_(batch.masks, group.task.indices.numpy()[part])] = metric
                    done(len(batch.masks) * metric.shape[1] / self.task.n_prompts)
        return values

    def _batches(
        self, group: _Group, gates: FloatArray, gradients: bool
    ) -> Iterator[tuple[Batch, slice, PerPrompt, Gradients | None]]:
        plan = self._group_plan(group, gates, gradients)
        rows = self._rows(group, gradients)
        planned = plan.batches(rows, group.forward.masks_at_once)
        starts = sorted({batch.first_layer for batch in planned})
        group.forward.share(starts, positions=any(batch.first_position for batch in planned))
        start = 0
        while start < len(plan.order):
            batch = plan.batch(start, rows, group.forward.masks_at_once)
            choose_again()
            try:
                results = [(part, *self._run(group, gates, batch, part, gradients)) for part in batch.prompts]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or rows == 1:
                    raise
                if gradients and self.executor == "fused" and not self._checkpointing:
                    self._use_checkpointing()
                rows = max(1, min(rows, len(batch.masks) * batch.prompts[0].stop) // 2)
                self.batch_rows = rows
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            for part, metric, slope in results:
                yield batch, part, metric, slope
            start += len(batch.masks)

    def _run(
        self, group: _Group, gates: FloatArray, batch: Batch, prompts: slice, gradients: bool
    ) -> tuple[PerPrompt, Gradients | None]:
        n_masks = len(batch.masks)
        leaf = torch.tensor(gates[batch.masks], device=self._device, dtype=self._dtype, requires_grad=gradients)
        with torch.set_grad_enabled(gradients):
            padded = torch.cat([leaf, leaf.new_ones((n_masks, 1))], dim=1)
            where = group.task.sequences(prompts), batch.first_layer, batch.first_position
            if isinstance(group.forward, FusedForward):
                logits = group.forward(padded, *where, host=gates[batch.masks]).to(self._device)
            else:
                logits = group.forward(padded, *where).to(self._device)
            clean = None if group.clean_logits is None else group.clean_logits[where[0]]
            metric = group.task.measure(self.task.metric, logits, prompts, n_masks, clean)
            if not bool(torch.isfinite(metric).all()):
                self._check_overflow(group, logits, padded.detach(), prompts)
            check_metric_values(metric.reshape(n_masks, -1), self.task.metric, prompts=group.task.indices[prompts])
            slope = None
            if gradients:
                if not metric.requires_grad:
                    raise NoGradientError(f"metric '{self.task.metric.name}' has no gradient; use gradients=False")
                slope = torch.autograd.grad(metric.sum(), leaf)[0].double().cpu().numpy()
                check_slopes(slope, self._dtype, self.task.metric.name, self.components)
        return metric.detach().double().cpu().numpy().reshape(n_masks, -1), slope

    def _check_overflow(self, group: _Group, logits: ReadLogits, gates: Gates, prompts: slice) -> None:
        """Numbers that grew too large for the model's dtype are told from a metric that went wrong."""
        wrong = overflowed(logits)
        if not bool(wrong.any()):
            return
        # Again through plain hooks, on the first mask whose logits are not finite: there the modules can be watched.
        rows = group.task.sequences(prompts)
        worst = int(wrong.nonzero()[0, 0]) // (rows.stop - rows.start)
        forward = group.forward if isinstance(group.forward, PathForward) else None
        plain = forward or HooksForward(self.model, *group.given.arguments)
        raise overflow_error(self.model, logits.dtype, lambda: plain(gates[worst : worst + 1], rows, 0))
