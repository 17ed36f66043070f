"""``describe``: what each component of a circuit does, put together from the measurements beside this file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from tqdm.auto import tqdm

from circuitspex.ablation import check_baseline
from circuitspex.circuits.about import About, At, Description
from circuitspex.circuits.circuit import Circuit
from circuitspex.circuits.roles.attention import looks
from circuitspex.circuits.roles.feeds import feeds
from circuitspex.circuits.roles.firing import fires
from circuitspex.circuits.roles.found_on import check_weights, components_in
from circuitspex.circuits.roles.patterns import patterns
from circuitspex.circuits.roles.positions import where
from circuitspex.circuits.roles.rules import role_of
from circuitspex.circuits.roles.subject import Subject
from circuitspex.circuits.roles.writes import writes
from circuitspex.components import Component, Latents, parse_component
from circuitspex.errors import UserError
from circuitspex.models import model_identity
from circuitspex.models.alone import running
from circuitspex.models.given import GivenModel, Loading, models_of
from circuitspex.models.protocol import Model
from circuitspex.scale import check_seed
from circuitspex.tasks import Task, check_task, task_of
from circuitspex.tasks.record import task_record

T = TypeVar("T")

MOST_POSITIONS = 40
"""How many positions of a component are kept: a long prompt has hundreds."""


def describe(
    circuit: Circuit,
    model: GivenModel,
    task: Task | str | Path,
    *,
    only: Sequence[str] | None = None,
    baseline: str | None = None,
    latents: Sequence[Latents] = (),
    seed: int = 0,
    progress: bool | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: str | dict[str, Any] | None = None,
    quantization: str | None = None,
) -> Description:
    """What each component of a circuit does on the prompts of a task.

    What is measured, and by which rules a word is given, is in docs/describe.md and docs/roles.md. All numbers have
    95 % intervals over the prompts.

    Args:
        circuit: of single components of a model.
        model: the one that it was found in.
        task: prompts with answers; those that the circuit was found on, or others.
        only: names of components, where not all of them are to be described.
        baseline: what an ablated component outputs instead; by default as when the circuit was found.
        latents: the sparse autoencoders whose latents are among the components.
        seed: of the random texts.
        progress: a progress bar; by default where standard error is a terminal.
        device, dtype, device_map, quantization: how a model that is named is loaded; see ``load_model``.

    Raises:
        UserError: the circuit is not of a model's components or has none of these names; the model has other weights
            than the one that the circuit was found in, or lacks its components; the task has one prompt only, or a
            component's position lies outside its prompts.
    """
    components = components_in(circuit, only)
    baseline = check_baseline(baseline or str(circuit.run.get("baseline") or "mean"))
    seed = check_seed(seed)
    check_task(task)
    how: Loading = {"device": device, "dtype": dtype, "device_map": device_map, "quantization": quantization}
    [bridge] = models_of([model], how)
    check_weights(circuit, bridge, model if isinstance(model, str | Path) else "this model")
    asked = task_of(task, bridge)
    if asked.n_prompts < 2:
        raise UserError("a description needs at least two prompts, over which its intervals are; this task has one")
    subject = Subject(bridge, asked, components, baseline, latents, seed)
    for component in components:
        subject.structure.check(component)
        _check_position(component, asked)
    timings: dict[str, float] = {}
    stages = ("where it matters", "what it looks at", "what it writes", "known patterns", "what fires", "feeds")
    with tqdm(total=len(stages), desc="describing", disable=None if progress is None else not progress) as bar:

        def mark(name: str, started: float) -> None:
            timings[name] = round(time.perf_counter() - started, 3)
            bar.set_postfix_str(name)
            bar.update()

        with running(bridge):
            started = time.perf_counter()
            at = where(subject)
            mark(stages[0], started)
            started = time.perf_counter()
            seen = looks(subject, at)
            mark(stages[1], started)
            started = time.perf_counter()
            written = writes(subject)
            mark(stages[2], started)
            started = time.perf_counter()
            known = {
                name: one if isinstance(one, str) else replace(one, copying=written.copying_on_random.get(name))
                for name, one in patterns(subject).items()
            }
            mark(stages[3], started)
            started = time.perf_counter()
            fired = fires(subject)
            mark(stages[4], started)
            started = time.perf_counter()
            fed = feeds(subject, pairs_of(circuit, components))
            mark(stages[5], started)
    found = []
    for component in components:
        name = str(component)
        lacks: list[str] = []
        pattern = _or_why(known, name, "known patterns", lacks)
        if pattern is not None:
            pattern = replace(pattern, copying=written.copying_on_random.get(name))
        found.append(
            About(
                name=name,
                kind=component.kind,
                looks=_or_why(seen, name, "looks at", lacks),
                writes=_or_why(written.of, name, "writes", lacks),
                where=_largest(at.get(name, ())),
                patterns=pattern,
                fires=_or_why(fired, name, "fires", lacks) or (),
                reads=tuple(each for each in fed if each.target == name),
                feeds=tuple(each for each in fed if each.source == name),
                lacks=tuple(lacks),
            )
        )
    return Description(
        components=tuple(replace(about, role=role_of(about, written.breakdown)) for about in found),
        breakdown=written.breakdown,
        n_prompts=asked.n_prompts,
        model=model_identity(bridge),
        task=asked.identity,
        seed=seed,
        timings=timings,
        prompts=_prompts(circuit, asked, bridge),
    )


def pairs_of(circuit: Circuit, components: Sequence[Component]) -> list[tuple[str, str]]:
    """The interacting pairs in different layers, the earlier first, in which one of these components is.

    What passes through an expert can't be patched, as it is a choice of the router's: such pairs are left out.
    """
    described = {str(component) for component in components}
    found = []
    for one in circuit.interactions:
        if one.order == 2 and described & set(one.components):
            first, second = sorted((parse_component(name) for name in one.components), key=lambda each: each.layer)
            if first.layer < second.layer and second.about.has_baseline:
                found.append((str(first), str(second)))
    return list(dict.fromkeys(found))


def _largest(places: Sequence[At]) -> tuple[At, ...]:
    """Of very many positions those that were ablated, and of the others those with the largest slopes, in order."""
    ranked = sorted(places, key=lambda each: (each.effect is None, -abs(each.slope.value)))
    kept = set(ranked[:MOST_POSITIONS])
    return tuple(each for each in places if each in kept)


def _prompts(circuit: Circuit, task: Task, model: Model) -> tuple[Mapping[str, Any], ...]:
    """The prompts, where the circuit's record does not have them: it is of others, or of an earlier version."""
    if circuit.task.get("prompts") and circuit.task.get("identity") == task.identity:
        return ()
    return tuple(task_record(task, getattr(model, "tokenizer", None))["prompts"])


def _or_why(found: Mapping[str, T | str], name: str, part: str, lacks: list[str]) -> T | None:
    """What was measured of a component; where that could not be, None, and the reason is added."""
    value = found.get(name)
    if isinstance(value, str):
        lacks.append(f"{part}: {value}")
        return None
    return value


def _check_position(component: Component, task: Task) -> None:
    at, shortest = component.position, int(task.lengths.min())
    if at is not None and not -shortest <= at < shortest:
        raise UserError(
            f"{component}: a prompt of the task has {shortest} tokens, positions {-shortest} to {shortest - 1}"
        )
