"""What all measurements of a description are given."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from circuitspex.components import Component, Latents, ModelStructure, model_structure
from circuitspex.models.protocol import Model
from circuitspex.tasks import Task


@dataclass(frozen=True, eq=False)
class Subject:
    """The components to describe, the model that they are of, and the prompts on which they are described.

    ``baseline`` is what an ablated component outputs instead, as in the search that found them.
    """

    model: Model
    task: Task
    components: tuple[Component, ...]
    baseline: str = "mean"
    latents: Sequence[Latents] = ()
    seed: int = 0
    read: dict[Any, Any] = field(default_factory=dict, repr=False)
    """What heads did on texts that are asked about more than once: ``read_once``."""

    @functools.cached_property
    def structure(self) -> ModelStructure:
        """Which components the model has, and at which hooks."""
        return model_structure(self.model, self.latents)

    @property
    def heads(self) -> tuple[Component, ...]:
        """Those that are attention heads."""
        return tuple(each for each in self.components if each.kind == "head")
