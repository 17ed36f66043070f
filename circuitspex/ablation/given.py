"""What a way to run a model is given for the prompts of one group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from circuitspex.ablation.baselines import baselines_of
from circuitspex.ablation.shapes import BaselineOfSite, Reads, Tokens
from circuitspex.ablation.sites import Site, sites_of
from circuitspex.components import Component, ModelStructure
from circuitspex.errors import ComponentError
from circuitspex.models.protocol import Model
from circuitspex.tasks import TaskGroup

Arguments = tuple[Sequence[Site], int, Tokens, Mapping[str, BaselineOfSite | None], Reads]


@dataclass(frozen=True)
class Given:
    """The prompts of a group, its components with the sites where they are gated, and what stands in for them."""

    task: TaskGroup
    components: tuple[Component, ...]
    sites: tuple[Site, ...]
    tokens: Tokens
    baselines: Mapping[str, BaselineOfSite | None]

    @property
    def arguments(self) -> Arguments:
        """What ``GroupForward`` takes after the model."""
        return self.sites, len(self.components), self.tokens, self.baselines, self.task.reads


def given_of(
    model: Model, structure: ModelStructure, components: tuple[Component, ...], baseline: str, group: TaskGroup
) -> Given:
    """All of it, with what a metric reads on the model's device.

    Raises:
        UserError: a component that the model or the prompts don't have, or a task without what the baseline needs.
    """
    device = next(model.parameters()).device
    placed = _in_prompt(components, group)
    sites = sites_of(structure, placed)
    baselines = baselines_of(baseline, model, sites, group)
    return Given(group.with_answers_on(device), placed, sites, group.tokens.to(device), baselines)


def _in_prompt(components: tuple[Component, ...], group: TaskGroup) -> tuple[Component, ...]:
    """The components with their positions as those of the prompt, where answers follow it: -1 is its own last token."""
    n = group.n_prompt_tokens
    if n == group.length:
        return components
    for component in components:
        if component.position is not None and not -n <= component.position < n:
            raise ComponentError(f"{component}: the prompt has {n} tokens, positions {-n} to {n - 1}")
    return tuple(c if c.position is None else replace(c, position=c.position % n) for c in components)


def first_place(components: Sequence[Component], length: int) -> tuple[int, int]:
    """The first layer and the first position that any component has, in rows of this length."""
    position = min(0 if c.position is None else c.position % length for c in components)
    return min(component.layer for component in components), position
