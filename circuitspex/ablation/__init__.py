"""Running a model with some of its components ablated."""

from circuitspex.ablation.baselines import Baseline, check_baseline
from circuitspex.ablation.engine import AblationEngine, Executor, Precision
from circuitspex.ablation.plan import Plan

__all__ = ["AblationEngine", "Baseline", "Executor", "Plan", "Precision", "check_baseline"]
