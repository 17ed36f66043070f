"""On which tokens neurons and latents fire."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from circuitspex.ablation.batch_size import in_parts
from circuitspex.ablation.passes import run_with
from circuitspex.ablation.sites import Site, sites_of
from circuitspex.circuits.about import Firing
from circuitspex.circuits.roles.neuron_writes import neuron_writes
from circuitspex.circuits.roles.subject import Subject
from circuitspex.components import Component
from circuitspex.models.alone import running
from circuitspex.models.tokens import decode_token
from circuitspex.typing import FloatArray

MOST_UNITS = 5
"""How many units of a component are shown, at most."""

MOST_TOKENS = 5
"""On how many different tokens each is shown, at most."""

_BATCH = 64


@dataclass(frozen=True, eq=False)
class _Fires:
    """A component whose units fire, the site where they are seen, and where each is on its axis of units.

    ``name`` is that of what was asked for: of an MLP, whose units are its neurons.
    """

    name: str
    component: Component
    site: Site
    places: tuple[int, ...]

    @property
    def names(self) -> list[str]:
        """Of each unit, as a component of its own."""
        start = self.component.start
        return [
            str(replace(self.component, start=start + at, stop=start + at + 1, position=None))
            for at in range(len(self.places))
        ]

    def at(self, length: int) -> list[int]:
        """The positions of a prompt at which it is."""
        only = self.component.position
        return list(range(length)) if only is None else [only % length]


def fires(subject: Subject) -> dict[str, tuple[Firing, ...] | str]:
    """On which tokens of the prompts the strongest units of MLPs, neurons and latents fire.

    Of an MLP these are the neurons that write most straight into the logit difference at the last position, the mean
    over prompts by size; where that is not known, and of latents, the units whose largest activation in a prompt is
    largest, on average. Each is shown on the different tokens that have its largest activations, by size.

    Returns:
        by the component's name, the strongest unit first; for MLPs whose neurons the model does not show, the reason.
        Components of other kinds are left out: they have no units.
    """
    found: dict[str, tuple[Firing, ...] | str] = {}
    asked: list[_Fires] = []
    for component in subject.components:
        of = _units(subject, component)
        if isinstance(of, str):
            found[str(component)] = of
        elif of is not None:
            asked.append(of)
    if asked:
        with running(subject.model):
            found |= _fired(subject, asked)
    return {str(component): found[str(component)] for component in subject.components if str(component) in found}


def _units(subject: Subject, component: Component) -> _Fires | str | None:
    """The units of a component, a reason why they are not seen, or None where its kind has none."""
    layer = subject.structure.layers[component.layer]
    units = component
    if component.kind == "mlp":
        part = layer.part("neurons")
        if part.hook is None:
            return f"layer {component.layer} {part.why.partition(';')[0]}"
        units = Component(component.layer, "neurons", 0, part.n_units, component.position)
    elif component.kind not in ("neurons", "latents", "expert_neurons"):
        return None
    subject.structure.check(units)
    (site,) = sites_of(subject.structure, [units])
    chosen = site.units(units)
    places = range(chosen.start, chosen.stop) if isinstance(chosen, slice) else chosen
    return _Fires(str(component), units, site, tuple(places))


def _fired(subject: Subject, asked: Sequence[_Fires]) -> dict[str, tuple[Firing, ...] | str]:
    neurons = [each for each in asked if each.component.kind == "neurons"]
    direct = neuron_writes(subject, frozenset(each.component.layer for each in neurons)) or {}
    known = {number: _direct(subject, each, direct) for number, each in enumerate(asked)}
    sizes = _largest(subject, {number: each for number, each in enumerate(asked) if known[number] is None})
    chosen: dict[int, list[int]] = {}
    for number in range(len(asked)):
        written = known[number]
        strength = sizes[number] if written is None else np.abs(written)
        chosen[number] = np.argsort(-strength, kind="stable")[:MOST_UNITS].tolist()
    activations = _activations(subject, asked, chosen)
    text = functools.cache(functools.partial(_text, subject))
    found: dict[str, tuple[Firing, ...] | str] = {}
    for number, each in enumerate(asked):
        firings: list[Firing] = []
        for at, unit in enumerate(chosen[number]):
            written = known[number]
            of_unit = None if written is None else float(written[unit])
            for prompt, position, token, value in _strongest(subject, each, activations[number], at):
                firings.append(Firing(each.names[unit], prompt, position, text(token), value, of_unit))
        found[each.name] = tuple(firings)
    return found


def _direct(subject: Subject, each: _Fires, direct: Mapping[int, FloatArray]) -> FloatArray | None:
    """What each unit writes straight into the logit difference, the mean over prompts; None where that is not known."""
    layer = each.component.layer
    if each.component.kind != "neurons" or layer not in direct:
        return None
    lengths = subject.task.lengths.numpy()
    at = each.component.position
    there = np.array([at is None or at % length == length - 1 for length in lengths])
    written = (direct[layer][:, list(each.places)] * there[:, None]).mean(0)
    return np.asarray(written) if there.any() else None


def _largest(subject: Subject, asked: Mapping[int, _Fires]) -> dict[int, FloatArray]:
    """The largest activation by size of each unit in a prompt, the mean over prompts."""
    total = {number: np.zeros(len(each.places)) for number, each in asked.items()}

    def see(number: int, values: Tensor, prompts: Sequence[int]) -> None:
        total[number] += values.abs().amax(1).double().sum(0).cpu().numpy()

    _watch(subject, {number: (each, each.places) for number, each in asked.items()}, see)
    return {number: each / subject.task.n_prompts for number, each in total.items()}


def _activations(
    subject: Subject, asked: Sequence[_Fires], chosen: Mapping[int, Sequence[int]]
) -> dict[int, dict[int, FloatArray]]:
    """By component and prompt, the activations of the chosen units at the component's positions, ``(pos, units)``."""
    found: dict[int, dict[int, FloatArray]] = {number: {} for number in chosen}

    def see(number: int, values: Tensor, prompts: Sequence[int]) -> None:
        for prompt, own in zip(prompts, values.double().cpu().numpy(), strict=True):
            found[number][prompt] = own

    places = {number: (each, [each.places[at] for at in chosen[number]]) for number, each in enumerate(asked)}
    _watch(subject, places, see)
    return found


def _watch(
    subject: Subject,
    asked: Mapping[int, tuple[_Fires, Sequence[int]]],
    see: Callable[[int, Tensor, Sequence[int]], None],
) -> None:
    """Runs all prompts and hands ``see`` the activations ``[prompts, pos, units]``, at the component's positions."""
    if not asked:
        return
    device = next(iter(subject.model.parameters())).device
    last = max(each.component.layer for each, _ in asked.values())
    for group in subject.task.groups:

        def run(rows: slice, tokens: Tensor = group.tokens, indices: Tensor = group.indices) -> dict[int, Tensor]:
            kept: dict[int, Tensor] = {}

            def keeper(number: int, each: _Fires, places: Sequence[int]) -> Callable[[Tensor], None]:
                at = each.at(tokens.shape[1])

                def keep(units: Tensor) -> None:
                    kept[number] = units[:, at][:, :, list(places)].clone()

                return keep

            hooks = [
                each.site.watch(keeper(number, each, places), tokens.shape[1])
                for number, (each, places) in asked.items()
            ]
            with torch.no_grad():
                run_with(subject.model, tokens[rows].to(device), hooks, stop_at_layer=last + 1)
            return kept

        done = 0
        for kept in in_parts(len(group), _BATCH, run):
            n_rows = len(next(iter(kept.values())))
            prompts = group.indices[done : done + n_rows].tolist()
            done += n_rows
            for number, values in kept.items():
                see(number, values, prompts)


def _strongest(
    subject: Subject, each: _Fires, activations: Mapping[int, FloatArray], unit: int
) -> list[tuple[int, int, int, float]]:
    """Where a unit fires most: prompt, position, token and activation, each token once."""
    best: dict[int, tuple[int, int, int, float]] = {}
    for prompt, values in activations.items():
        own = values[:, unit]
        for at, position in enumerate(each.at(int(subject.task.lengths[prompt]))):
            token, value = int(subject.task.tokens[prompt, position]), float(own[at])
            if token not in best or abs(value) > abs(best[token][3]):
                best[token] = (prompt, position, token, value)
    firing = [one for one in best.values() if one[3] != 0]
    return sorted(firing, key=lambda one: (-abs(one[3]), one[0], one[1]))[:MOST_TOKENS]


def _text(subject: Subject, token: int) -> str:
    """The token as text; its number where the model has no tokenizer."""
    tokenizer = getattr(subject.model, "tokenizer", None)
    return f"<{token}>" if tokenizer is None else decode_token(subject.model, token)
