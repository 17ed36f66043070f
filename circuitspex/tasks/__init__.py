"""Tasks: prompts, their counterfactuals, the answers to compare, and metrics of the logits."""

from __future__ import annotations

from circuitspex.tasks.capitals import capitals
from circuitspex.tasks.catalogue import BUILTIN, build
from circuitspex.tasks.example import Example
from circuitspex.tasks.gendered_pronoun import gendered_pronoun
from circuitspex.tasks.greater_than import greater_than
from circuitspex.tasks.groups import TaskGroup
from circuitspex.tasks.induction import induction
from circuitspex.tasks.ioi import ioi
from circuitspex.tasks.metrics import METRICS, Metric, MetricRows, as_metric, check_metric_values
from circuitspex.tasks.report import TaskReport
from circuitspex.tasks.task import Task

__all__ = [
    "BUILTIN",
    "METRICS",
    "Example",
    "Metric",
    "MetricRows",
    "Task",
    "TaskGroup",
    "TaskReport",
    "as_metric",
    "build",
    "capitals",
    "check_metric_values",
    "gendered_pronoun",
    "greater_than",
    "induction",
    "ioi",
]
