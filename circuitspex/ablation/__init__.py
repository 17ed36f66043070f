"""Running a model with some of its components ablated."""

from circuitspex.ablation.baselines import Baseline, check_baseline
from circuitspex.ablation.engine import AblationEngine, Executor, Precision
from circuitspex.ablation.plan import Plan
from circuitspex.ablation.store import Store, StoredGame, store_at

__all__ = [
    "AblationEngine",
    "Baseline",
    "Executor",
    "Plan",
    "Precision",
    "Store",
    "StoredGame",
    "check_baseline",
    "store_at",
]
