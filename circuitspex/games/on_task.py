"""Games in which a model does a task while something of it is ablated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitspex.ablation import Store
from circuitspex.errors import UserError
from circuitspex.games.on_model import ModelGame
from circuitspex.models import model_name, model_of
from circuitspex.models.given import GivenModel
from circuitspex.models.quantization import quantization_of
from circuitspex.models.tokens import context_of
from circuitspex.tasks import Task, task_of


class TaskGame(ModelGame):
    """A lens on a model and a task: the numbers of a mask are the task's metric, one a prompt.

    Raises:
        UserError: a prompt is longer than the model's context.
    """

    task: Task
    _engine: Any

    def __init__(self, model: GivenModel, task: Task | str | Path, store: Store | str | Path | None) -> None:
        model = model_of(model)
        task = task_of(task, model)
        longest, holds = max(group.length for group in task.sequences), context_of(model)
        if holds is not None and longest > holds:
            raise UserError(f"a prompt of the task has {longest} tokens; the model's context holds {holds}")
        super().__init__(model, store)
        self.task = task

    @property
    def n_samples(self) -> int:
        """How many prompts there are, ``P``."""
        return self.task.n_prompts

    @property
    def executor(self) -> str:
        """Which executor runs, and what it shares or can't share on this model."""
        return str(self._engine.note)

    @property
    def model_name(self) -> str:
        """The name the model was loaded by."""
        return model_name(self.model)

    def _model_facts(self) -> dict[str, Any]:
        """What ``circuit.json`` says of the model, whatever is ablated."""
        return {
            "name": self.model_name,
            "identity": self.model_identity,
            "architecture": str(getattr(self.model.cfg, "architecture", None) or ""),
            "d_model": int(self.model.cfg.d_model),
            "parallel_attn_mlp": bool(getattr(self.model.cfg, "parallel_attn_mlp", False)),
            "dtype": self._dtype,
            **({"quantization": held} if (held := quantization_of(self.model.original_model)) else {}),
        }

    @property
    def _dtype(self) -> str:
        return str(next(self.model.parameters()).dtype).removeprefix("torch.")

    def _about(self) -> dict[str, Any]:
        """What people want to know of a run."""
        return {
            "model": self.model_name,
            "task_name": self.task.name,
            "metric": self.task.metric.name,
            "n_prompts": self.task.n_prompts,
        }
