"""Passes for measurements on single components: rows of one prompt each, with gates by component and position.

Everything is measured at the unablated model: a row ablates one component, at one position or all of them, or gives
one the output that it had in another pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from circuitspex.ablation.baselines import baselines_of, check_baseline
from circuitspex.ablation.batch_size import in_parts, rows_that_fit
from circuitspex.ablation.executors.by_row import ByRow, RowPrompts
from circuitspex.ablation.executors.fused_by_row import FusedByRow, fused_by_row
from circuitspex.ablation.executors.prefix import Prefix, why_not
from circuitspex.ablation.frozen import frozen
from circuitspex.ablation.passes import Hook
from circuitspex.ablation.shapes import Activation
from circuitspex.ablation.sites import Site, sites_of
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import Component
from circuitspex.errors import NoGradientError
from circuitspex.models.alone import alone
from circuitspex.models.overflow import check_slopes, overflow_error, overflowed
from circuitspex.models.state import ModelState, model_state
from circuitspex.models.trial import check_causal
from circuitspex.tasks import MetricRows, Task, TaskGroup, check_metric_values
from circuitspex.typing import FloatArray

RowGates = Float[Tensor, "rows components pos"]
"""1 = kept, 0 = ablated: of each component at each position, for each row by itself."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The prompts of one length with everything that passes over them need.

    ``components`` are the second axis of gates. ``forward`` gates each at each position by itself; ``columns`` are
    the places of its players among the flat gates.
    """

    task: Task
    group: TaskGroup
    components: tuple[Component, ...]
    forward: ByRow
    columns: Tensor
    fast: FusedByRow | None = None
    """The same with less to compute, where the model's architecture is verified."""

    @property
    def n_prompts(self) -> int:
        """How many prompts of this length there are."""
        return len(self.group)

    def gates(self, n_rows: int) -> RowGates:
        """Nothing is ablated."""
        parameter = next(iter(self.forward.model.parameters()))
        return torch.ones((n_rows, len(self.components), self.group.length), dtype=parameter.dtype)

    def size(self, *, gradients: bool = False) -> int:
        """How many rows are run at once."""
        n_read = int(self.group.reads.shape[1])
        return rows_that_fit(self.forward.model, self.group.length, gradients=gradients, n_read=n_read)

    @cached_property
    def plain(self) -> FloatArray:
        """The metric ``(prompts,)`` of the unablated model."""
        return self.run(self.gates(self.n_prompts), torch.arange(self.n_prompts))

    def site(self, component: int) -> Site:
        """Where a component is gated."""
        own = replace(self.components[component], position=None)
        return next(
            site for site in self.forward.sites if any(replace(each, position=None) == own for _, each in site.members)
        )

    def run(
        self, gates: RowGates, prompts: RowPrompts, *, instead: Mapping[str, Activation] | None = None
    ) -> FloatArray:
        """The metric ``(rows,)`` of each row.

        ``instead``: by hook, what ablated units give in each row, where it is not the baseline.
        """
        layers = torch.tensor([component.layer for component in self.components])
        last = int(self.forward.model.cfg.n_layers) - 1
        touched = gates != 1
        first_layer = torch.where(touched.any(2), layers, last).amin(1).clamp(max=last)
        first = torch.where(touched.any(1), torch.arange(self.group.length), self.group.length - 1).amin(1)
        # Rows that begin late run together, from where the first of them begins.
        order = torch.from_numpy(np.lexsort((-first.numpy(), -first_layer.numpy())))
        found = np.empty(len(gates))

        def some(part: slice) -> None:
            rows = order[part]
            given = {hook: each[rows.to(each.device)] for hook, each in (instead or {}).items()}
            begin = int(first_layer[rows].min()), int(first[rows].min())
            with torch.no_grad():
                metric = self._metric(self._players(gates[rows]), prompts[rows], begin, given)
            found[rows.numpy()] = metric.double().cpu().numpy()

        in_parts(len(gates), self.size(), some)
        return found

    def until(
        self, layer: int, gates: RowGates, prompts: RowPrompts, start: int, hooks: Callable[[slice], Sequence[Hook]]
    ) -> None:
        """Passes from ``start`` to ``layer`` for what hooks see and change there, made for each part of the rows."""

        def some(part: slice) -> None:
            with torch.no_grad():
                self.forward.until(layer, self._players(gates[part]), prompts[part], start, hooks(part))

        in_parts(len(gates), self.size(), some)

    def slopes(self) -> Float[np.ndarray, "prompts components pos"]:
        """d metric / d gate at the unablated model, of each prompt, component and position.

        Raises:
            NoGradientError: the metric has no gradient.
        """
        start = min(component.layer for component in self.components)

        def some(part: slice) -> FloatArray:
            prompts = torch.arange(self.n_prompts)[part]
            leaf = self.gates(len(prompts)).requires_grad_()
            with torch.enable_grad():
                metric = self._metric(self._players(leaf), prompts, (start, 0), {})
                if not metric.requires_grad:
                    raise NoGradientError(f"metric '{self.task.metric.name}' has no gradient")
                slope = torch.autograd.grad(metric.sum(), leaf)[0].double().cpu().numpy()
            check_slopes(slope.sum(2), leaf.dtype, self.task.metric.name, self.components)
            return np.asarray(slope)

        return np.concatenate(in_parts(self.n_prompts, self.size(gradients=True), some))

    def _players(self, gates: RowGates) -> Tensor:
        """Gates by player, with the last column of ones."""
        device = next(iter(self.forward.model.parameters())).device
        flat = gates.flatten(1)[:, self.columns].to(device)
        return torch.cat([flat, flat.new_ones((len(flat), 1))], dim=1)

    def _logits(
        self, gates: Tensor, prompts: RowPrompts, begin: tuple[int, int], instead: Mapping[str, Activation]
    ) -> Tensor:
        if self.fast is not None:
            return self.fast.rows(gates, prompts, *begin, instead=instead).to(gates.device)
        return self.forward.rows(gates, prompts, begin[0], instead=instead).to(gates.device)

    def _metric(
        self, gates: Tensor, prompts: RowPrompts, begin: tuple[int, int], instead: Mapping[str, Activation]
    ) -> Tensor:
        """``begin``: the layer and the position before which nothing is ablated."""
        logits = self._logits(gates, prompts, begin, instead)
        metric = self.task.metric(logits, self._asked(prompts, gates.device))
        if not bool(torch.isfinite(metric).all()) and bool(overflowed(logits).any()):
            raise overflow_error(
                self.forward.model,
                logits.dtype,
                lambda: self.forward.rows(gates.detach(), prompts, begin[0], instead=instead),
            )
        check_metric_values(metric.detach(), self.task.metric, prompts=self.group.indices[prompts])
        return metric

    def _asked(self, prompts: RowPrompts, device: torch.device) -> MetricRows:
        answers, wrong = (
            each[prompts].to(device).reshape(len(prompts), -1)
            for each in (self.group.answers, self.group.wrong_answers)
        )
        clean = self._clean[prompts.to(self._clean.device)].to(device) if self.task.metric.needs_clean else None
        return MetricRows(answers=answers, wrong_answers=wrong, clean_logits=clean)

    @cached_property
    def _clean(self) -> Tensor:
        with torch.no_grad():
            prompts = torch.arange(self.n_prompts)
            return self._logits(self._players(self.gates(self.n_prompts)), prompts, (0, 0), {})


def rows_of(subject: Subject) -> tuple[Rows, ...]:
    """The prompts by length, ready to run; made once for each subject and state of its model."""
    state = model_state(subject.model)
    if subject not in _made or _made[subject][0] != state or state.foreign:
        _made[subject] = state, _make(subject, state)
    return _made[subject][1]


_made: WeakKeyDictionary[Subject, tuple[ModelState, tuple[Rows, ...]]] = WeakKeyDictionary()


@contextlib.contextmanager
def measuring(subject: Subject) -> Iterator[tuple[Rows, ...]]:
    """Within the block, the rows of a subject: no other thread runs the model, and its weights get no gradients."""
    with alone(subject.model), frozen(subject.model):
        yield rows_of(subject)


def _make(subject: Subject, state: ModelState) -> tuple[Rows, ...]:
    model, task = subject.model, subject.task
    check_causal(model)
    check_baseline(subject.baseline)
    device = next(iter(model.parameters())).device
    found = []
    shortened: bool | None = None
    for group in task.groups:
        places = [
            (component, position)
            for component in subject.components
            for position in (range(group.length) if component.position is None else [component.position])
        ]
        players = [replace(subject.structure.check(component), position=at) for component, at in places]
        index = {component: i for i, component in enumerate(subject.components)}
        columns = torch.tensor([index[c] * group.length + at % group.length for c, at in places])
        tokens = group.tokens.to(device)
        sites = sites_of(subject.structure, players)
        if shortened is None:
            shortened = why_not(model, tokens) is None
        prefix = Prefix(model, tokens) if shortened else None
        baselines = baselines_of(subject.baseline, model, sites, group)
        forward = ByRow(model, sites, len(players), tokens, baselines, group.reads, prefix=prefix)
        fast = fused_by_row(forward, subject.structure, len(players), state)
        found.append(Rows(task, group, subject.components, forward, columns, fast))
    return tuple(found)
