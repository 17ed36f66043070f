"""Where components matter: what each does at each position, screened by slopes and measured by ablations.

The metric's derivative by a component's gate at one position, at the unablated model, is the gradient there times the
difference of the activation and its baseline, as in attribution patching. One pass with gradients gives it for all
components, positions and prompts. It is what an ablation would do if the model were linear, so the strongest are then
ablated, each at one position alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from circuitspex.circuits.about import At
from circuitspex.circuits.roles.places import Place, places_of
from circuitspex.circuits.roles.rows import Rows, measuring
from circuitspex.circuits.roles.subject import Subject
from circuitspex.statistics import over_prompts
from circuitspex.typing import FloatArray

MOST_UNSCREENED = 32
"""At how many positions a component is ablated where slopes don't tell which; the last ones of the prompt."""

MOST_ABLATED = 3
"""At how many positions each component is ablated, at most."""

LEAST_SLOPE = 0.1
"""A position whose slope is less than this share of the component's largest is not ablated."""


@dataclass(frozen=True)
class _Choice:
    """A component (by its number) that is ablated at a place."""

    component: int
    place: int


def where(subject: Subject) -> dict[str, tuple[At, ...]]:
    """What each component does at each position, by its name; in the order of positions.

    Where all prompts have their named positions at the same tokens, every token is a position. Else the named ones
    are, in prompts of one length also the tokens that no prompt names, and the others together: ``elsewhere`` (see
    ``places.py``). The tokens of answers of several tokens are one more: ``answer tokens``. A component that is at one
    token by itself, ``L5H1@3``, has no others. The positions with the largest slopes, at most ``MOST_ABLATED``, have
    an ``effect``.

    Raises:
        NoGradientError: the metric has no gradient.
        TaskError: the metric or its gradient is not finite.
    """
    if not subject.components:
        return {}
    places = places_of(subject.task)
    n_prompts, n_components = subject.task.n_prompts, len(subject.components)
    slopes = np.zeros((n_prompts, n_components, len(places)))
    effects: dict[_Choice, FloatArray] = {}
    with measuring(subject) as groups:
        for rows in groups:
            indices = rows.group.indices.numpy()
            of_group = rows.slopes()
            for number, prompt in enumerate(indices.tolist()):
                for at, place in enumerate(places):
                    slopes[prompt, :, at] = of_group[number][:, list(place.tokens[prompt])].sum(1)
        own = [_own(subject, number, places) for number in range(n_components)]
        flat = subject.task.metric.needs_clean
        chosen = [each for number in range(n_components) for each in _strongest(slopes, number, own[number], flat)]
        for rows in groups:
            for choice, values in zip(chosen, _ablated(rows, chosen, places), strict=True):
                effects.setdefault(choice, np.empty(n_prompts))[rows.group.indices.numpy()] = values
    return {
        str(component): tuple(
            At(
                places[at].name,
                over_prompts(slopes[:, number, at]),
                over_prompts(effects[_Choice(number, at)]) if _Choice(number, at) in effects else None,
                places[at].index,
            )
            for at in own[number]
        )
        for number, component in enumerate(subject.components)
    }


def _own(subject: Subject, number: int, places: Sequence[Place]) -> list[int]:
    """The places at which a component is."""
    only = subject.components[number].position
    lengths = subject.task.lengths.tolist()
    return [
        at
        for at, place in enumerate(places)
        if any(
            tokens if only is None else only % length in tokens
            for tokens, length in zip(place.tokens, lengths, strict=True)
        )
    ]


def _strongest(slopes: FloatArray, number: int, own: Sequence[int], flat: bool) -> list[_Choice]:
    """Where a component is ablated: its largest slopes, the mean over prompts.

    A metric that compares with the unablated model has no slope there: then everywhere, up to ``MOST_UNSCREENED``.
    """
    if flat:
        return [_Choice(number, at) for at in own[-MOST_UNSCREENED:]]
    sizes = np.abs(slopes[:, number].mean(0))
    order = sorted(own, key=lambda at: -sizes[at])[:MOST_ABLATED]
    return [_Choice(number, at) for at in order if sizes[at] >= LEAST_SLOPE * sizes[order[0]]]


def _ablated(rows: Rows, chosen: Sequence[_Choice], places: Sequence[Place]) -> FloatArray:
    """By how much the metric falls under each choice, ``(choices, prompts of the group)``."""
    gates = rows.gates(len(chosen) * rows.n_prompts)
    of_choice = gates.view(len(chosen), rows.n_prompts, *gates.shape[1:])
    for number, choice in enumerate(chosen):
        for row, prompt in enumerate(rows.group.indices.tolist()):
            of_choice[number, row, choice.component, list(places[choice.place].tokens[prompt])] = 0
    values = rows.run(gates, torch.arange(rows.n_prompts).repeat(len(chosen)))
    return np.asarray(rows.plain - values.reshape(len(chosen), -1))
