"""Running a model with some of its components ablated."""

from circuitspex.ablation.baselines import Baseline, check_baseline
from circuitspex.ablation.engine import AblationEngine, Executor

__all__ = ["AblationEngine", "Baseline", "Executor", "check_baseline"]
