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
from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.executors.by_row import ByRow, RowPrompts
from circuitspex.ablation.executors.fused_by_row import FusedByRow, fused_by_row
from circuitspex.ablation.executors.prefix import Prefix, why_not
from circuitspex.ablation.frozen import frozen
from circuitspex.ablation.given import Given
from circuitspex.ablation.passes import Hook
from circuitspex.ablation.shapes import Activation
from circuitspex.ablation.sites import Site, sites_of
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import Component
from circuitspex.errors import ComponentError, NoGradientError
from circuitspex.models.alone import running
from circuitspex.models.overflow import check_slopes, overflow_error, overflowed
from circuitspex.models.pass_memory import rows_that_fit
from circuitspex.models.state import ModelState, model_state
from circuitspex.models.trial import check_causal
from circuitspex.tasks import Task, TaskGroup, check_metric_values
from circuitspex.typing import FloatArray

RowGates = Float[Tensor, "rows components pos"]
"""1 = kept, 0 = ablated: of each component at each position, for each row by itself."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The prompts of one length with everything that passes over them need.

    ``components`` are the second axis of gates. ``forward`` gates each at each position by itself; ``columns`` are
    the places of its players among the flat gates. Where answers have several tokens, a prompt is run as several
    sequences, each followed by an answer: activations then have as many rows for each row of gates.
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

    @property
    def n_sequences(self) -> int:
        """As how many sequences each prompt is run."""
        return self.group.n_sequences

    def sequences(self, rows: Tensor) -> Tensor:
        """The rows of activations that belong to these rows of gates, or prompts."""
        return (rows[:, None] * self.n_sequences + torch.arange(self.n_sequences)).flatten()

    def gates(self, n_rows: int) -> RowGates:
        """Nothing is ablated."""
        parameter = next(iter(self.forward.model.parameters()))
        return torch.ones((n_rows, len(self.components), self.group.length), dtype=parameter.dtype)

    def size(self, *, gradients: bool = False) -> int:
        """How many rows are run at once."""
        n_read = int(self.group.reads.shape[1])
        n_rows = rows_that_fit(self.forward.model, self.group.length, gradients=gradients, n_read=n_read)
        return max(1, n_rows // self.n_sequences)

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

        ``instead``: by hook, what ablated units give in each row of activations, where it is not the baseline.
        """
        layers = torch.tensor([component.layer for component in self.components])
        last = int(self.forward.model.cfg.n_layers) - 1
        touched = gates != 1
        first_layer = torch.where(touched.any(2), layers, last).amin(1).clamp(max=last)
        first = torch.where(touched.any(1), torch.arange(self.group.length), self.group.length - 1).amin(1)
        # Rows that begin late run together, from where the first of them begins.
        order = torch.from_numpy(np.lexsort((-first.numpy(), -first_layer.numpy())))
        found = np.empty(len(gates))
        starts = set(first_layer.tolist())
        if self.fast is None:
            self.forward.prepare(starts)
        else:
            self.fast.prepare(starts, positions=bool(first.any()))

        def some(part: slice) -> None:
            rows = order[part]
            own = self.sequences(rows)
            given = {hook: each[own.to(each.device)] for hook, each in (instead or {}).items()}
            begin = int(first_layer[rows].min()), int(first[rows].min())
            with torch.no_grad():
                metric = self._metric(self._players(gates[rows]), prompts[rows], begin, given)
            found[rows.numpy()] = metric.double().cpu().numpy()

        in_parts(len(gates), self.size(), some)
        return found

    def until(
        self, layer: int, gates: RowGates, prompts: RowPrompts, start: int, hooks: Callable[[slice], Sequence[Hook]]
    ) -> None:
        """Passes from ``start`` to ``layer`` for what hooks see and change there.

        ``hooks`` makes them for each part of the rows of activations.
        """

        def some(part: slice) -> None:
            own = slice(part.start * self.n_sequences, part.stop * self.n_sequences)
            with torch.no_grad():
                players, sequences = self._players(gates[part]), self.sequences(prompts[part])
                self.forward.until(layer, players, sequences, start, hooks(own))

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
        """Gates by player for each row of activations, with the last column of ones."""
        device = next(iter(self.forward.model.parameters())).device
        flat = gates.flatten(1)[:, self.columns].to(device).repeat_interleave(self.n_sequences, 0)
        return torch.cat([flat, flat.new_ones((len(flat), 1))], dim=1)

    def _logits(
        self, gates: Tensor, prompts: RowPrompts, begin: tuple[int, int], instead: Mapping[str, Activation]
    ) -> Tensor:
        sequences = self.sequences(prompts)
        if self.fast is not None:
            return self.fast.rows(gates, sequences, *begin, instead=instead).to(gates.device)
        return self.forward.rows(gates, sequences, begin[0], instead=instead).to(gates.device)

    def _metric(
        self, gates: Tensor, prompts: RowPrompts, begin: tuple[int, int], instead: Mapping[str, Activation]
    ) -> Tensor:
        """``begin``: the layer and the position before which nothing is ablated."""
        logits = self._logits(gates, prompts, begin, instead)
        clean = None
        if self.task.metric.needs_clean:
            clean = self._clean[self.sequences(prompts).to(self._clean.device)].to(logits.device)
        metric = self.group.measure(self.task.metric, logits, prompts.to(logits.device), clean=clean)
        if not bool(torch.isfinite(metric).all()) and bool(overflowed(logits).any()):
            plain, sequences = gates.detach(), self.sequences(prompts)
            raise overflow_error(
                self.forward.model,
                logits.dtype,
                lambda: self.forward.rows(plain, sequences, begin[0], instead=instead),
            )
        check_metric_values(metric.detach(), self.task.metric, prompts=self.group.indices[prompts])
        return metric

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
    with running(subject.model), frozen(subject.model):
        yield rows_of(subject)


def _make(subject: Subject, state: ModelState) -> tuple[Rows, ...]:
    model, task = subject.model, subject.task
    check_causal(model)
    check_baseline(subject.baseline)
    device = next(iter(model.parameters())).device
    found = []
    shortened: bool | None = None
    for group in task.sequences:
        places = [
            (number, position)
            for number, component in enumerate(subject.components)
            for position in _positions(subject.structure.check(component), group)
        ]
        players = tuple(replace(subject.components[number], position=at) for number, at in places)
        columns = torch.tensor([number * group.length + at for number, at in places])
        sites = sites_of(subject.structure, players)
        baselines = baselines_of(subject.baseline, model, sites, group)
        given = Given(group.with_answers_on(device), players, sites, group.tokens.to(device), baselines)
        if shortened is None:
            shortened = why_not(model, given.tokens) is None
        forward = ByRow(model, *given.arguments, prefix=Prefix(model, given.tokens) if shortened else None)
        fast = fused_by_row(forward, subject.structure, len(players), state)
        found.append(Rows(task, given.task, subject.components, forward, columns, fast))
    return tuple(found)


def _positions(component: Component, group: TaskGroup) -> Sequence[int]:
    """Where a component is in the rows of a group; a position of its own is one of the prompt, without the answer."""
    at, n = component.position, group.n_prompt_tokens
    if at is None:
        return range(group.length)
    if not -n <= at < n:
        raise ComponentError(f"{component}: the prompt has {n} tokens, positions {-n} to {n - 1}")
    return [at % n]
