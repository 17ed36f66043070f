"""What the metric would gain by each component, by its slope in passes of other prompts than its own.

A component's output is z in the pass, c on the prompt itself and b in the baseline. With ``z' = z + (g - 1)(c - b)``
the slope ``dm/dg`` at g = 1 is ``(c - b) . dm/dz``: what the field's attribution sums up. Where the pass is that of the
prompt itself, z = c, and it is the slope of an ablation's gate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from circuitspex.ablation.attribution.other_prompts import entry_of
from circuitspex.ablation.attribution.relevance_rules import with_relevance_rules
from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.executors.agreement import disagreement, parts_of
from circuitspex.ablation.executors.clean import clean_pass
from circuitspex.ablation.executors.dense import NotDenseError
from circuitspex.ablation.executors.fused import FusedForward
from circuitspex.ablation.executors.hooks import HooksForward, at
from circuitspex.ablation.executors.prefix import entry_hook
from circuitspex.ablation.frozen import frozen
from circuitspex.ablation.given import Given, given_of
from circuitspex.ablation.passes import Hook, run_with
from circuitspex.ablation.shapes import Activation, ReadLogits, Stream
from circuitspex.ablation.sites import Site
from circuitspex.components import Component, ModelStructure
from circuitspex.errors import NoGradientError, UserError
from circuitspex.models.overflow import check_slopes
from circuitspex.models.pass_memory import rows_that_fit
from circuitspex.models.protocol import Model
from circuitspex.models.state import model_state
from circuitspex.tasks import Task, check_metric_values
from circuitspex.typing import FloatArray

_BATCH = 64


@dataclass(frozen=True)
class _Ready:
    """One length of prompts: how far each site's activation is from its baseline, and the unablated logits."""

    given: Given
    differences: dict[str, Activation]
    clean_logits: ReadLogits | None


class NodeSlopes:
    """Slopes of a task's metric by component, ``(n,)`` in units of the metric; positive where a component helps.

    Args:
        model: the bridge.
        structure: from ``model_structure``.
        components: whose slopes.
        task: the prompts and the metric.
        baseline: a name in ``BASELINES``.

    Raises:
        UserError: a component that is no activation of the model with a baseline.
    """

    def __init__(
        self, model: Model, structure: ModelStructure, components: Sequence[Component], task: Task, baseline: str
    ) -> None:
        self.model, self.structure, self.task, self.baseline = model, structure, task, baseline
        self.components = tuple(components)
        with frozen(model):
            self._groups = [self._ready(group) for group in task.sequences]

    def along_inputs(self, shares: FloatArray) -> FloatArray:
        """The mean slope over passes whose embeddings are at these shares of the way from the counterfactual's.

        Raises:
            UserError: a baseline other than 'resample', whose way has no embeddings.
        """
        if self.baseline != "resample":
            raise UserError(
                "integrated gradients of the inputs go from each prompt's counterfactual to the prompt, which is the "
                f"baseline 'resample', not '{self.baseline}'"
            )
        found = np.zeros(len(self.components))
        with frozen(self.model):
            for ready in self._groups:
                own, other = (
                    entry_of(self.model, tokens.to(ready.given.tokens.device))
                    for tokens in (ready.given.tokens, ready.given.task.counterfactual_tokens)
                )
                for share in shares:
                    found += self._slopes(ready, torch.lerp(other, own, float(share)))
        return found / len(shares)

    def by_relevance(self) -> FloatArray:
        """The coefficients of relevance propagation in the prompts' own pass, times the same differences.

        Raises:
            UserError: a model or components for which the rules are not known.
        """
        n = len(self.components)
        unfused = next((c for c in self.components if not c.about.fused), None)
        found = np.zeros(n)
        with frozen(self.model):
            try:
                if unfused is not None:
                    raise NotDenseError(f"{unfused} is none of heads, MLPs and neurons")
                state = model_state(self.model)
                dense = parts_of(self.model, self.structure, None, state)
                ruled = with_relevance_rules(dense)
                for ready in self._groups:
                    sites, _, tokens, baselines, reads = ready.given.arguments
                    clean = clean_pass(self.model, tokens)
                    plain = FusedForward(dense, clean, sites, n, baselines, reads)
                    why = disagreement(plain, HooksForward(self.model, *ready.given.arguments), n, (0, 0), state)
                    if why is not None:
                        raise NotDenseError(why)
                    found += self._in_parts(ready, FusedForward(ruled, clean, sites, n, baselines, reads))
            except NotDenseError as error:
                raise UserError(f"relevance rules are known for dense transformers: {error}") from error
        return found

    def _ready(self, group: Any) -> _Ready:
        given = given_of(self.model, self.structure, self.components, self.baseline, group)
        for site in given.sites:
            if type(site) is not Site or not site.has_baseline:
                raise UserError(
                    f"{site.members[0][1]} is no activation with a baseline, which this attribution is of; "
                    "'nap' and 'nap-ig' score every component"
                )
        kept: dict[str, list[Activation]] = {site.hook: [] for site in given.sites}
        logits: list[ReadLogits] = []

        def run(rows: slice) -> None:
            hooks = [site.watch(kept[site.hook].append, group.length) for site in given.sites]
            logits.append(at(run_with(self.model, given.tokens[rows], hooks), group.reads[rows]))

        with torch.no_grad():
            in_parts(len(given.tokens), _BATCH, run)
        own = {hook: torch.cat(parts) for hook, parts in kept.items()}
        differences = {}
        for hook, z in own.items():
            base = given.baselines[hook]
            differences[hook] = z if base is None else z - base
        return _Ready(given, differences, torch.cat(logits) if self.task.metric.needs_clean else None)

    def _slopes(self, ready: _Ready, entry: Stream) -> FloatArray:
        """The slopes in a pass with these embeddings."""
        n = len(self.components)
        sites = [(site, site.unit_index(n, entry.shape[1]).to(entry.device)) for site in ready.given.sites]

        def forward(gates: torch.Tensor, rows: slice, *_: Any) -> ReadLogits:
            hooks: list[Hook] = [(entry_hook(0), lambda activation, hook: entry[rows].to(activation))]
            for site, index in sites:
                hooks.append((site.hook, _moved(site, index, gates, ready.differences[site.hook][rows])))
            return at(run_with(self.model, ready.given.tokens[rows], hooks), ready.given.task.reads[rows])

        return self._in_parts(ready, forward)

    def _in_parts(self, ready: _Ready, forward: Any) -> FloatArray:
        """The slopes of the task's value, prompts some at a time."""
        group, n = ready.given.task, len(self.components)
        most = max(1, rows_that_fit(self.model, group.length, gradients=True) // group.n_sequences)

        def run(prompts: slice) -> FloatArray:
            leaf = torch.ones((1, n + 1), device=ready.given.tokens.device, dtype=_dtype(self.model))
            with torch.enable_grad():
                leaf.requires_grad_(True)
                rows = group.sequences(prompts)
                logits = forward(leaf, rows, 0)
                clean = None if ready.clean_logits is None else ready.clean_logits[rows]
                metric = group.measure(self.task.metric, logits, prompts, 1, clean)
                check_metric_values(metric.reshape(1, -1), self.task.metric, prompts=group.indices[prompts])
                if not metric.requires_grad:
                    raise NoGradientError(f"metric '{self.task.metric.name}' has no gradient, so there is no slope")
                slope = torch.autograd.grad(metric.sum(), leaf)[0][:, :-1].double().cpu().numpy()
            check_slopes(slope, leaf.dtype, self.task.metric.name, self.components)
            return np.asarray(slope[0])

        return np.asarray(np.sum(in_parts(len(group), most, run), axis=0) / self.task.n_prompts)


def _moved(site: Site, index: Any, gates: torch.Tensor, difference: Activation) -> Any:
    def move(activation: Activation, hook: Any) -> Activation:
        there = activation.device
        base = site.read(activation).detach() - difference.to(there)
        return site.gate(activation, gates.to(there), index.to(there), base)

    return move


def _dtype(model: Model) -> torch.dtype:
    return next(model.parameters()).dtype
