"""The lens of edges: the players are edges of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from circuitspex.ablation import Store
from circuitspex.ablation.edges.baselines import check_edge_baseline
from circuitspex.ablation.edges.engine import EdgeEngine, EdgeExecutor, check_edge_executor
from circuitspex.ablation.edges.graph import edge_graph
from circuitspex.components import model_structure
from circuitspex.components._select_edges import check_edge_selector, select_edges, wants_ungrouped
from circuitspex.components.edges import Edge, EdgeSelector, layer_of
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
from circuitspex.typing import FloatArray, Gradients, PerPrompt


class EdgeGame(TaskGame):
    """Edges of a model as players; the value of a mask is the task's metric with the others closed.

    An edge from source u to destination d with gate g carries ``base_u + g (out_u - base_u)``: d reads the residual
    stream without what its closed edges would have carried, ``x_d = x - sum_u (1 - g_ud) (out_u - base_u)``, through
    its own norm; ``out_u`` is what u adds to the stream in this same pass, and everything downstream is computed anew.
    Edges that are not among the players stay open.

    Args:
        model: a TransformerBridge, from ``load_model`` for example; a Hugging Face model, or the name of one.
        task: the prompts and the metric; or the name of a built-in task, or a ``.jsonl`` file.
        edges: a selector ('edges', 'edges:ungrouped', 'edges->logits', 'L23H3->*', …), an ``Edge``, or a list.
        baseline: what closed edges carry: what the source writes on the paired counterfactual prompt ('resample'), on
            average over the reference prompts by position ('mean'), or nothing ('zero').
        ungrouped: whether each query head has keys and values of its own (as 'edges:ungrouped' says).
        executor: 'fused' (all destinations of a layer in one product), 'hooks' (the plain reference: slow), or 'auto':
            'fused' where a trial on this model gives what plain hooks give.
        batch_rows: rows (one mask on one prompt) to run at once; None chooses by the free memory.
        store: where finished ablations are kept and taken from; see ``ComponentGame``.
        workers: processes that run the masks; see ``RayWorkers``.

    ``graph`` is the model's graph of edges, ``selection`` the players' numbers in it.

    Raises:
        ComponentError: edges that the model does not have, or a model that can't be cut into edges.
        TaskError: a task that can't be run with this baseline.
        UserError: an unknown baseline or executor, or a model in half precision.
    """

    lens: ClassVar[str] = "edges"
    _engine: EdgeEngine

    def __init__(
        self,
        model: GivenModel,
        task: Task | str | Path,
        edges: EdgeSelector = "edges",
        baseline: str = "resample",
        *,
        ungrouped: bool = False,
        executor: EdgeExecutor = "auto",
        batch_rows: int | None = None,
        store: Store | str | Path | None = None,
        workers: RayWorkers | None = None,
    ) -> None:
        check_task(task)
        check_edge_selector(edges)
        check_edge_executor(executor)
        if batch_rows is not None and batch_rows < 1:
            raise UserError(f"batch_rows must be at least 1, not {batch_rows}")
        self.baseline = check_edge_baseline(baseline)
        super().__init__(model, task, store)
        self.workers = check_workers(workers)
        self.selector = edges if isinstance(edges, str) else ""
        self.unit_roundoff = unit_roundoff(next(self.model.parameters()).dtype)
        self._selected = edges
        self._ungrouped = ungrouped or wants_ungrouped(edges)
        self._options: dict[str, Any] = {"executor": executor, "batch_rows": batch_rows}
        self._first()

    def _make_ready(self, state: ModelState) -> None:
        self.structure = model_structure(self.model)
        self.graph = edge_graph(self.model, self.structure, ungrouped=self._ungrouped)
        self.selection = select_edges(self.graph, self._selected)
        self.names = self.selection.names
        self._engine = EdgeEngine(
            self.model, self.structure, self.selection, self.task, self.baseline, **self._options, state=state
        )

    def edge(self, index: int) -> Edge:
        """The edge that a column of the masks stands for."""
        found = self.graph.edge(int(self.selection.numbers[index]))
        return Edge(found.source, found.target, self.selection.positions[index])

    def part(self, index: int) -> tuple[int, str]:
        """The layer in which an edge ends (the logits come after the last), and its kind."""
        layer = layer_of(self.edge(index).target)
        return len(self.graph.layers) if layer is None else layer, "edge"

    def describe(self) -> dict[str, Mapping[str, Any]]:
        """What ``circuit.json`` says of the model, the task and the run."""
        graph = self.graph
        return {
            "model": {
                **self._model_facts(),
                "n_layers": self.structure.n_layers,
                "n_heads": max(layer.n_heads for layer in graph.layers),
                "heads": [layer.n_heads for layer in graph.layers],
                "key_value_heads": [layer.n_kv for layer in graph.layers],
                "mlps": [layer.mlp for layer in graph.layers],
            },
            "task": task_record(self.task, getattr(self.model, "tokenizer", None)),
            "run": {
                "components": self.selector or "+".join(self.names),
                "baseline": self.baseline,
                "ungrouped": graph.ungrouped,
                "n_edges_of_model": len(graph),
            },
        }

    def on(self, task: Task) -> EdgeGame:
        """The same edges, baseline and executor on another task (held-out prompts, for example)."""
        other = EdgeGame(
            self.model,
            task,
            self._selected,
            self.baseline,
            ungrouped=self._ungrouped,
            **self._options,
            store=self._given_store,
            workers=self.workers,
        )
        other.selector = self.selector
        return other

    def of(self, players: Any) -> EdgeGame:
        """A game of some of the players, by their columns, on the same task; all other edges stay open."""
        columns = np.asarray(players, dtype=np.int64).tolist()
        chosen: list[Any] = [self.edge(column) for column in columns]
        return EdgeGame(
            self.model,
            self.task,
            chosen,
            self.baseline,
            ungrouped=self.graph.ungrouped,
            **self._options,
            store=self._given_store,
            workers=self.workers,
        )

    def _recipe(self) -> Recipe:
        arguments = (self.task, self._selected, self.baseline)
        options = {"ungrouped": self._ungrouped, **self._options}
        return Recipe(EdgeGame, arguments, options, origin_of(self.model), self._facts(), self.model_name)

    def _play(self, gates: FloatArray, gradients: bool, done: Done) -> tuple[PerPrompt, Gradients | None]:
        return self._engine.evaluate(gates, gradients=gradients, done=done)

    def _chunk(self, gradients: bool) -> int:
        return self._engine.masks_in_batch(gradients=gradients)

    def _bar_word(self) -> str:
        return self._engine.executor

    def _facts(self) -> dict[str, Any]:
        """All that a value depends on."""
        return {
            "weights": self.model_identity,
            "task": self.task.identity,
            "edges": list(self.names),
            "ungrouped": self.graph.ungrouped,
            "baseline": self.baseline,
            "dtype": self._dtype,
            "device": next(self.model.parameters()).device.type,
            "executor": self._engine.executor,
            **self._how(),
        }

    def _about(self) -> dict[str, Any]:
        """What people want to know of a run."""
        return {**super()._about(), "selector": self.selector or f"{self.n_players} edges"}
