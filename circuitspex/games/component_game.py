"""The mechanistic lens: the players are components of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from tqdm.auto import tqdm

from circuitspex.ablation import BASELINES, AblationEngine, Executor, Plan, Precision, Store, check_baseline
from circuitspex.checks import check_gates
from circuitspex.components import Latents, Selector, check_selector, model_structure, select
from circuitspex.errors import UserError
from circuitspex.games.chunks import Done
from circuitspex.games.lens import unit_roundoff
from circuitspex.games.on_task import TaskGame
from circuitspex.games.workers.ray_workers import RayWorkers, check_workers
from circuitspex.games.workers.recipe import Recipe
from circuitspex.models.given import GivenModel
from circuitspex.models.origin import origin_of
from circuitspex.models.state import ModelState
from circuitspex.tasks import Task, check_task
from circuitspex.tasks.record import task_record
from circuitspex.typing import FloatArray, Gradients, IntArray, Masks, PerPrompt


class ComponentGame(TaskGame):
    """Components of a model as players; the value of a mask is the task's metric with the others ablated.

    For a head with output z (before the output projection), gate g and baseline b the model computes with
    ``z' = b + g (z - b)``, and likewise for an MLP layer's output and a neuron's activation; everything downstream is
    computed anew (total effect).

    Args:
        model: a TransformerBridge, from ``load_model`` for example; a Hugging Face model, or the name of one.
        task: the prompts and the metric; or the name of a built-in task, or a ``.jsonl`` file.
        components: a selector such as 'heads' or 'heads+mlps', a component, or a list of them.
        latents: sparse autoencoders and transcoders whose latents are among the components, as ``Latents``, at most
            one a layer.
        baseline: what ablated components output: 'mean' (over the task's reference prompts, by position),
            'mean_vector' (over them and their positions: one vector a component, which serves any prompt), 'resample'
            (their output on the paired counterfactual prompt) or 'zero'.
        executor: 'auto', 'fused' (dense transformers: shared and ablated work is skipped), 'batched' (many masks a pass
            through TransformerLens hooks) or 'hooks' (one mask at a time, the plain reference). 'auto' is 'fused' where
            a trial on this model gives the logits of plain hooks, else 'batched'; ``executor`` then says why.
        precision: 'model', or 'bfloat16' for matrix products in bfloat16 beside a residual stream in the model's own
            dtype: faster on processors that have them, less exact. Only for 'fused'.
        batch_rows: rows (one mask on one prompt) to run at once; None chooses by the free memory.
        store: where finished ablations are kept and taken from: a path, a ``Store``, 'auto' (the user's own, in the
            cache folder) or None. An interrupted run goes on where it stopped when it is started again.
        workers: processes that run the masks, each with a model that it loads itself; see ``RayWorkers``.

    ``n_stored`` counts the ablations that were taken from the store, ``n_run`` those that were run.

    Raises:
        ComponentError: components that the model does not have, or that overlap.
        TaskError: a task that can't be run with this baseline.
        UserError: an unknown baseline or executor.
    """

    lens: ClassVar[str] = "components"
    _engine: AblationEngine

    def __init__(
        self,
        model: GivenModel,
        task: Task | str | Path,
        components: Selector = "heads",
        baseline: str = "mean",
        *,
        latents: Latents | Sequence[Latents] | None = None,
        executor: Executor = "auto",
        precision: Precision = "model",
        batch_rows: int | None = None,
        store: Store | str | Path | None = None,
        workers: RayWorkers | None = None,
    ) -> None:
        check_task(task)
        check_selector(components, edges=False)
        self.baseline = check_baseline(baseline)
        super().__init__(model, task, store)
        self.workers = check_workers(workers)
        self.selector = components if isinstance(components, str) else ""
        self.unit_roundoff = unit_roundoff(
            torch.bfloat16 if precision == "bfloat16" else next(self.model.parameters()).dtype
        )
        self._selected = components
        self._options: dict[str, Any] = {
            "latents": latents,
            "executor": executor,
            "precision": precision,
            "batch_rows": batch_rows,
        }
        self._first()

    def _make_ready(self, state: ModelState) -> None:
        options = dict(self._options)
        self.structure = model_structure(self.model, options.pop("latents"))
        self.components = select(self.structure, self._selected)
        self.names = tuple(str(component) for component in self.components)
        self._engine = AblationEngine(
            self.model, self.structure, self.components, self.task, self.baseline, **options, state=state
        )

    def part(self, index: int) -> tuple[int, str]:
        """The layer and the kind of a component."""
        component = self.components[index]
        return component.layer, component.kind

    def describe(self) -> dict[str, Mapping[str, Any]]:
        """What ``circuit.json`` says of the model and of the task."""
        of_latents = [
            {
                "hook": one.hook,
                **({} if one.output_hook is None else {"output_hooks": list(one.output_hooks)}),
                "n_latents": one.n_latents,
                "activation": one.activation,
                "identity": one.identity,
            }
            for one in self._latents()
        ]
        return {
            "model": {
                **self._model_facts(),
                "n_layers": self.structure.n_layers,
                "n_heads": max(layer.n_heads for layer in self.structure.layers),
                "heads": [layer.n_heads for layer in self.structure.layers],
                "mlps": [layer.part("mlp").hook is not None for layer in self.structure.layers],
            },
            "task": task_record(self.task, getattr(self.model, "tokenizer", None)),
            "run": {
                "components": self.selector or "+".join(self.names),
                "baseline": self.baseline,
                **({"latents": of_latents} if of_latents else {}),
            },
        }

    def _latents(self) -> list[Latents]:
        """The autoencoders and transcoders whose latents are among the components."""
        layers = sorted({component.layer for component in self.components if component.kind == "latents"})
        return [self.structure.layers[layer].part("latents").source for layer in layers]

    def on(self, task: Task) -> ComponentGame:
        """The same components, baseline and executor on another task (held-out prompts, for example)."""
        other = ComponentGame(
            self.model,
            task,
            list(self.components),
            self.baseline,
            **self._options,
            store=self._given_store,
            workers=self.workers,
        )
        other.selector = self.selector
        return other

    def plan(self, masks: Masks | FloatArray, *, gradients: bool = False) -> Plan:
        """How ``evaluate`` would run these masks, without running them; ``plan(masks).explain()`` says it in words.

        Raises:
            UserError: masks of another shape, or gates outside [0, 1].
        """
        gates = check_gates(masks, self.n_players)
        with self._ready():
            return self._engine.plan(np.unique(gates, axis=0), gradients=gradients, n_asked=len(gates))

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
        bar = tqdm(
            total=len(gates),
            desc=label,
            unit="ablation",
            disable=None if progress is None else not progress,
            leave=False,
        )
        with bar, self._ready():
            if self.workers is None:
                return self._engine.patched(gates, source, target, done=bar.update)
            recipe, facts = self._handed(self.workers)
            size = self.workers.size(self._chunk(False))
            parts = [gates[start : start + size] for start in range(0, len(gates), size)]
            calls = [(part, source, target) for part in parts]
            found = [np.empty((0, self.n_samples))] * len(parts)
            for index, values in self.workers.called(recipe, "_patched_for_driver", calls, facts):
                found[index] = values
                bar.update(len(values))
            return np.concatenate([np.empty((0, self.n_samples)), *found])

    def _patched_for_driver(self, gates: FloatArray, source: int, target: int) -> PerPrompt:
        """In a worker: ``patched``, of a chunk."""
        return self._engine.patched(gates, source, target, done=lambda _: None)

    def _recipe(self) -> Recipe:
        arguments = (self.task, list(self.components), self.baseline)
        return Recipe(ComponentGame, arguments, self._options, origin_of(self.model), self._facts(), self.model_name)

    def _play(self, gates: FloatArray, gradients: bool, done: Done) -> tuple[PerPrompt, Gradients | None]:
        return self._engine.evaluate(gates, gradients=gradients, done=done)

    def _order(self, gates: FloatArray, gradients: bool) -> IntArray:
        return self._engine.order(gates, gradients=gradients)

    def _chunk(self, gradients: bool) -> int:
        return self._engine.masks_in_batch(gradients=gradients)

    def _bar_word(self) -> str:
        return self._engine.executor

    def _facts(self) -> dict[str, Any]:
        """All that a value depends on."""
        of_latents = [latents.identity for latents in self._latents()]
        return {
            "weights": self.model_identity,
            "task": self.task.identity,
            "components": list(self.names),
            "baseline": self.baseline,
            **self._all_references(),
            **({"latents": of_latents} if of_latents else {}),
            "dtype": self._dtype,
            "device": next(self.model.parameters()).device.type,
            "executor": self._engine.executor,
            "precision": self._engine.precision,
            **self._how(),
        }

    def _all_references(self) -> dict[str, Any]:
        """Reference prompts of lengths that no prompt has, which the task's identity leaves out, where they count."""
        if BASELINES[self.baseline].needs != "all reference prompts":
            return {}
        return {"references": [tokens.tolist() for tokens in self.task.all_references]}

    def _about(self) -> dict[str, Any]:
        """What people want to know of a run."""
        return {**super()._about(), "selector": self.selector or f"{self.n_players} components"}
