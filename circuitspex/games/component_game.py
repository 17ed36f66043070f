"""The mechanistic lens: the players are components of a model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from circuitspex.ablation import AblationEngine, Executor, Plan, Precision, Store, check_baseline, store_at
from circuitspex.arrays import check_gates
from circuitspex.components import Latents, Selector, model_structure, select
from circuitspex.errors import UserError
from circuitspex.games.run import Run
from circuitspex.models import model_identity, model_name
from circuitspex.tasks import Task
from circuitspex.typing import FloatArray, Gradients, Masks, PerPrompt, Values


class ComponentGame:
    """Components of a model as players; the value of a mask is the task's metric with the others ablated.

    For a head with output z (before the output projection), gate g and baseline b the model computes with
    ``z' = b + g (z - b)``, and likewise for an MLP layer's output and a neuron's activation; everything downstream is
    computed anew (total effect).

    Args:
        model: a TransformerBridge, from ``load_model`` for example.
        task: the prompts and the metric.
        components: a selector such as 'heads' or 'heads+mlps', a component, or a list of them.
        latents: sparse autoencoders whose latents are among the components, as ``Latents``, at most one a layer.
        baseline: what ablated components output: 'mean' (over the task's reference prompts, by position),
            'resample' (their output on the paired counterfactual prompt) or 'zero'.
        executor: 'auto', 'fused' (dense transformers: shared and ablated work is skipped), 'batched' (many masks a pass
            through TransformerLens hooks) or 'hooks' (one mask at a time, the plain reference). 'auto' is 'fused' where
            a trial on this model gives the logits of plain hooks, else 'batched'; ``executor`` then says why.
        precision: 'model', or 'bfloat16' for matrix products in bfloat16 beside a residual stream in the model's own
            dtype: faster on processors that have them, less exact. Only for 'fused'.
        batch_rows: rows (one mask on one prompt) to run at once; None chooses by the free memory.
        store: where finished ablations are kept and taken from: a path, a ``Store``, 'auto' (the user's own, in the
            cache folder) or None. An interrupted run goes on where it stopped when it is started again.

    ``n_stored`` counts the ablations that were taken from the store, ``n_run`` those that were run.

    Raises:
        ComponentError: components that the model does not have, or that overlap.
        TaskError: a task that can't be run with this baseline.
        UserError: an unknown baseline or executor.
    """

    def __init__(
        self,
        model: Any,
        task: Task,
        components: Selector = "heads",
        baseline: str = "mean",
        *,
        latents: Latents | Sequence[Latents] | None = None,
        executor: Executor = "auto",
        precision: Precision = "model",
        batch_rows: int | None = None,
        store: Store | str | Path | None = None,
    ) -> None:
        self.model = model
        self.task = task
        self.selector = components if isinstance(components, str) else ""
        self.structure = model_structure(model, latents)
        self.components = select(self.structure, components)
        self.baseline = check_baseline(baseline)
        self.store = store_at(store)
        if self.store is not None and any(point.fwd_hooks for point in model.hook_dict.values()):
            warnings.warn(
                "the model has hooks of its own, which the store can't tell apart; going on without it", stacklevel=2
            )
            self.store = None
        self.n_stored = self.n_run = 0
        self._identity: str | None = None
        self._options: dict[str, Any] = {
            "latents": latents,
            "executor": executor,
            "precision": precision,
            "batch_rows": batch_rows,
            "store": self.store,
        }
        self._engine = AblationEngine(
            model,
            self.structure,
            self.components,
            task,
            self.baseline,
            executor=executor,
            precision=precision,
            batch_rows=batch_rows,
        )

    @property
    def n_players(self) -> int:
        """How many components there are, ``n``."""
        return len(self.components)

    @property
    def names(self) -> tuple[str, ...]:
        """The components as they are written, in the order of the masks' columns."""
        return tuple(str(component) for component in self.components)

    @property
    def executor(self) -> str:
        """Which executor runs, and what it shares or can't share on this model."""
        return self._engine.note

    @property
    def model_name(self) -> str:
        """The name the model was loaded by."""
        return model_name(self.model)

    @property
    def model_identity(self) -> str:
        """The hash of the model's weights and configuration."""
        return model_identity(self.model)

    def on(self, task: Task) -> ComponentGame:
        """The same components, baseline and executor on another task (held-out prompts, for example)."""
        other = ComponentGame(self.model, task, list(self.components), self.baseline, **self._options)
        other.selector = self.selector
        return other

    def __call__(self, masks: Masks) -> Values:
        """The value of each mask: bool ``(K, n)`` in, float ``(K,)`` out."""
        return self.evaluate(masks, progress=False).values

    def plan(self, masks: Masks | FloatArray, *, gradients: bool = False) -> Plan:
        """How ``evaluate`` would run these masks, without running them; ``plan(masks).explain()`` says it in words.

        Raises:
            UserError: masks of another shape, or gates outside [0, 1].
        """
        gates = check_gates(masks, self.n_players)
        return self._engine.plan(np.unique(gates, axis=0), gradients=gradients, n_asked=len(gates))

    def evaluate(
        self,
        masks: Masks | FloatArray,
        *,
        gradients: bool = False,
        progress: bool | None = None,
        label: str = "ablating",
    ) -> Run:
        """Run the model under each mask; a mask that occurs twice is run once.

        Args:
            masks: bool ``(K, n)``, True = kept. Floats in [0, 1] are gates between ablated and kept.
            gradients: also d value / d gate ``(K, n)``, at the price of a backward pass.
            progress: a progress bar; by default where standard error is a terminal.
            label: what the bar says.

        Raises:
            UserError: masks of another shape, gates outside [0, 1], or gradients under ``torch.no_grad()``.
            TaskError: the metric gave NaN, an infinity or a wrong shape.
        """
        gates = check_gates(masks, self.n_players)
        unique, back = np.unique(gates, axis=0, return_inverse=True)
        started = time.perf_counter()
        with tqdm(
            total=len(unique),
            desc=f"{label} ({self._engine.executor})",
            unit="ablation",
            disable=None if progress is None else not progress,
            leave=False,
        ) as bar:
            per_prompt, slopes = self._finished(unique, gradients, bar.update)
        back = back.reshape(-1)
        return Run(
            masks=gates == 1,
            per_prompt=per_prompt[back],
            gradients=None if slopes is None else slopes[back],
            seconds=time.perf_counter() - started,
        )

    def patched(
        self, masks: Masks, source: int, target: int, *, progress: bool | None = None, label: str = "path patching"
    ) -> PerPrompt:
        """The metric of each prompt when one component is shown what it would see without an earlier one.

        Path patching: the target's output is that of a pass in which the source is ablated too; everything else is as
        under the mask. Runs through plain hooks, two passes a mask, and is not kept in the store.

        Args:
            masks: bool ``(K, n)``, True = kept.
            source: the index of the earlier component.
            target: the index of the later one, in a later layer.
            progress: a progress bar; by default where standard error is a terminal.
            label: what the bar says.

        Returns:
            float ``(K, P)``.

        Raises:
            UserError: masks of another shape, components that are not there, or a target that is not in a later layer.
        """
        gates = check_gates(masks, self.n_players)
        for index in (source, target):
            if not 0 <= index < self.n_players:
                raise UserError(f"there is no component {index}; the game has {self.n_players}")
        if self.components[source].layer >= self.components[target].layer:
            raise UserError(
                f"nothing travels from {self.names[source]} to {self.names[target]}: it must be in a later layer"
            )
        with tqdm(
            total=len(gates),
            desc=label,
            unit="ablation",
            disable=None if progress is None else not progress,
            leave=False,
        ) as bar:
            return self._engine.patched(gates, source, target, done=bar.update)

    def _finished(
        self, gates: FloatArray, gradients: bool, done: Callable[[float], object]
    ) -> tuple[PerPrompt, Gradients | None]:
        """Values, and gradients, of distinct rows of gates: taken from the store, or run and kept there.

        What is run goes in chunks that follow from the request alone, and each is kept whole or not at all: a run that
        is started again has the same batches, and so the same numbers to the last digit.
        """
        if self.store is None:
            self.n_run += len(gates)
            return self._engine.evaluate(gates, gradients=gradients, done=done)
        if self._identity is None:
            self._identity = self.store.game(self._facts(), self._about())
        per_prompt = np.empty((len(gates), self.task.n_prompts))
        slopes = np.empty((len(gates), self.n_players)) if gradients else None
        kept = self.store.find(self._identity, gates, gradients=gradients)
        for place, (values, gradient) in kept.items():
            per_prompt[place] = values
            if slopes is not None:
                slopes[place] = gradient
        self.n_stored += len(kept)
        done(len(kept))
        order = self._engine.order(gates, gradients=gradients)
        size = self._engine.masks_in_batch(gradients=gradients)
        for start in range(0, len(order), size):
            rows = [int(place) for place in order[start : start + size] if int(place) not in kept]
            if not rows:
                continue
            values, found = self._engine.evaluate(gates[rows], gradients=gradients, done=done)
            self.store.keep(self._identity, gates[rows], values, found)
            self.n_run += len(rows)
            per_prompt[rows] = values
            if slopes is not None:
                slopes[rows] = found
        return per_prompt, slopes

    def _facts(self) -> dict[str, Any]:
        """All that a value depends on."""
        layers = sorted({component.layer for component in self.components if component.kind == "latents"})
        about = [self.structure.layers[layer].latents for layer in layers]
        of_latents = [latents.identity for latents in about if latents is not None]
        return {
            "weights": self.model_identity,
            "task": self.task.identity,
            "components": list(self.names),
            "baseline": self.baseline,
            **({"latents": of_latents} if of_latents else {}),
            "dtype": str(next(self.model.parameters()).dtype).removeprefix("torch."),
            "device": next(self.model.parameters()).device.type,
            "executor": self._engine.executor,
            "precision": self._engine.precision,
        }

    def _about(self) -> dict[str, Any]:
        """What people want to know of a run."""
        return {
            "model": self.model_name,
            "task_name": self.task.name,
            "metric": self.task.metric.name,
            "n_prompts": self.task.n_prompts,
            "selector": self.selector or f"{self.n_players} components",
        }
