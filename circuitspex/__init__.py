"""circuitspex: find which components of a language model work together.

Many ablations at once, a sparse decoder that recovers which components interact, and circuit graphs that are measured,
verified and drawn. The public names are imported when they are first used, so that ``import circuitspex`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from circuitspex import tasks
    from circuitspex.circuits import (
        Circuit,
        Comparison,
        Found,
        coarse_to_fine,
        compare,
        compare_series,
        examine,
        explain,
        find_circuit,
    )
    from circuitspex.components import Component, Latents
    from circuitspex.errors import UserError
    from circuitspex.export.prompt_map import PromptMap
    from circuitspex.games import (
        ComponentGame,
        FunctionGame,
        GroupedGame,
        LensGame,
        Run,
        TokenGame,
        Training,
        TrainingGame,
    )
    from circuitspex.masks import CodedDesign, sample_masks
    from circuitspex.models import load_model, model_identity
    from circuitspex.recovery import Interactions, decode, spex
    from circuitspex.tasks import Example, Task

# Each public name, and the package that it comes from.
_PUBLIC = {
    "Circuit": "circuits",
    "CodedDesign": "masks",
    "Comparison": "circuits",
    "Component": "components",
    "ComponentGame": "games",
    "Example": "tasks",
    "Found": "circuits",
    "FunctionGame": "games",
    "GroupedGame": "games",
    "Interactions": "recovery",
    "Latents": "components",
    "LensGame": "games",
    "PromptMap": "export.prompt_map",
    "Run": "games",
    "Task": "tasks",
    "TokenGame": "games",
    "Training": "games",
    "TrainingGame": "games",
    "UserError": "errors",
    "coarse_to_fine": "circuits",
    "compare": "circuits",
    "compare_series": "circuits",
    "decode": "recovery",
    "examine": "circuits",
    "explain": "circuits",
    "find_circuit": "circuits",
    "load_model": "models",
    "model_identity": "models",
    "sample_masks": "masks",
    "spex": "recovery",
}
_MODULES = ("tasks",)

__all__ = [
    "Circuit",
    "CodedDesign",
    "Comparison",
    "Component",
    "ComponentGame",
    "Example",
    "Found",
    "FunctionGame",
    "GroupedGame",
    "Interactions",
    "Latents",
    "LensGame",
    "PromptMap",
    "Run",
    "Task",
    "TokenGame",
    "Training",
    "TrainingGame",
    "UserError",
    "coarse_to_fine",
    "compare",
    "compare_series",
    "decode",
    "examine",
    "explain",
    "find_circuit",
    "load_model",
    "model_identity",
    "sample_masks",
    "spex",
    "tasks",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
